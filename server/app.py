"""The server's Flower app: wiring only (see `fedgan.federation`)."""

from fedgan.cli.progress import samples_only
from fedgan.federation.apps import server_app

app = server_app(samples_only)
