"""The client's Flower app: wiring only (see `fedgan.federation`)."""

from fedgan.federation.node import vault_of
from fedgan.federation.relay import client_app

app = client_app(vault_of)
