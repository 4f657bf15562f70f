"""The app that Flower carries to the sites: two files of wiring, and the run's configuration.

The library itself does not travel: server and sites use the one they have installed, so a site runs what it chose.
"""

from __future__ import annotations

import json
from pathlib import Path

from fedgan import __version__
from fedgan.config import Config, flatten
from fedgan.files import write_text

SERVER_APP = '''"""The server's Flower app: wiring only (see `fedgan.federation`)."""

from fedgan.cli.progress import samples_only
from fedgan.federation.apps import server_app

app = server_app(samples_only)
'''

CLIENT_APP = '''"""The client's Flower app: wiring only (see `fedgan.federation`)."""

from fedgan.federation.node import vault_of
from fedgan.federation.relay import client_app

app = client_app(vault_of)
'''


def write_bundle(folder: Path, config: Config, settings: dict[str, str | float]) -> Path:
    """Write the app for a run of `config` into `folder`; `settings` are the server's own keys beside it."""
    write_text(folder / "server" / "__init__.py", '"""The server\'s Flower app."""\n')
    write_text(folder / "server" / "app.py", SERVER_APP)
    write_text(folder / "client" / "__init__.py", '"""The client\'s Flower app."""\n')
    write_text(folder / "client" / "app.py", CLIENT_APP)
    write_text(folder / "README.md", "# A federation's run\n")
    write_text(folder / "pyproject.toml", _pyproject(config, settings))
    return folder


def _pyproject(config: Config, settings: dict[str, str | float]) -> str:
    keys = {**settings, **flatten(config.model_dump())}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    return (
        f'[project]\nname = "fedgan-run"\nversion = "{__version__}"\nlicense = "Apache-2.0"\ndependencies = []\n\n'
        '[tool.flwr.app]\npublisher = "fedgan"\nfab-include = ["server/*.py", "client/*.py", "README.md"]\n\n'
        '[tool.flwr.app.components]\nserverapp = "server.app:app"\nclientapp = "client.app:app"\n\n'
        "[tool.flwr.app.config]\n" + "\n".join(lines) + "\n"
    )
