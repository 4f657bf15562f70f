"""What this process has verified of ledgers, so that opening one again costs its new lines and not all of them.

A vault opens its ledger for every charge. The bytes of the whole file are compared with those that were verified: a
file that differs in any of them is verified from its first line.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

from fedgan.privacy.ledger_line import LedgerLine
from fedgan.privacy.ledger_scan import scan_lines

MOST_LINES = 20_000  # of all remembered ledgers together, about 2 KiB each

_verified: OrderedDict[Path, tuple[bytes, tuple[LedgerLine, ...]]] = OrderedDict()  # the last used at the end
_guard = Lock()


def verified_lines(path: Path, whole: bytes) -> list[LedgerLine]:
    """Return the verified lines of `whole`, the content of the ledger at `path` up to its last line feed.

    Raises:
        IntegrityError: naming file and line, and what is wrong with it.
    """
    key = path.absolute()
    with _guard:
        content, known = _verified.get(key, (b"", ()))
    if not whole.startswith(content):
        content, known = b"", ()
    lines = [*known, *scan_lines(whole, path, known=len(content), before=known[-1] if known else None)]
    with _guard:
        _verified[key] = (whole, tuple(lines))
        _verified.move_to_end(key)
        while len(_verified) > 1 and sum(len(kept) for _, kept in _verified.values()) > MOST_LINES:
            _verified.popitem(last=False)
    return lines
