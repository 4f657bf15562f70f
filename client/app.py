"""The client's Flower app: wiring only (see `fedgan.federation`)."""

from fedgan.federation.apps import simulated_vault
from fedgan.federation.relay import client_app

app = client_app(simulated_vault)
