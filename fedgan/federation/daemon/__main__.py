"""`python -m fedgan.federation.daemon FOLDER`: the vault of one site, until it is told to stop."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
from pathlib import Path
from threading import Event

from fedgan.errors import FedganError, UsageError
from fedgan.federation.daemon.closed import close_to_others
from fedgan.federation.daemon.refusals import Refusals
from fedgan.federation.daemon.service import VaultService, listen
from fedgan.federation.daemon.site import SiteFolder, load_site
from fedgan.federation.daemon.vaults import SiteVaults
from fedgan.federation.machine import ready_to_train

_LOGGER = logging.getLogger("fedgan.vault")
_GRACE_S = 5.0


def run(folder: SiteFolder) -> None:
    """Serve the vault in `folder` until SIGTERM or SIGINT.

    Raises:
        FedganError: the site's file, data or ledger is not in order, or another vault serves this folder.
    """
    close_to_others()
    site = load_site(folder)
    folder.private.mkdir(mode=0o700, exist_ok=True)
    folder.private.chmod(0o700)
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{folder.path}: another vault serves this folder") from None
    ready_to_train(site.machine.threads)
    vaults = SiteVaults(folder, site)
    vaults.check_ledger()
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = listen(VaultService(vaults, Refusals(folder.refusals)), folder.socket)
    description = vaults.describe()
    _LOGGER.info("vault of client %s: %d records, ready", description.client, description.records)
    stopped.wait()
    server.stop(_GRACE_S).wait()
    os.close(lock)


def main() -> int:
    """Run from the command line and return the exit code of the error, if any."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        run(SiteFolder(Path(sys.argv[1])))
    except FedganError as error:
        print(f"fedgan: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
