"""The parties of an audit: those chosen have canaries and are watched, all others are as in any run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fedgan.config import Config
from fedgan.errors import UsageError, unknown_name
from fedgan.federation.attack.records import place_canaries
from fedgan.federation.attack.vault import Watch, WatchedVault
from fedgan.federation.components import gan_of
from fedgan.federation.sites import Sites, client_name, ledger_path
from fedgan.federation.vault import Vault
from fedgan.privacy.plan import PrivacyPlan
from fedgan.seeding import derive_seed


@dataclass(frozen=True)
class Canaries:
    """How many canaries each chosen client gets, and where.

    Attributes:
        clients: names; empty for the client with the fewest records, whose records are sampled at the highest rate.
        directions: gradient canaries a client.
        images: input canaries a client.
        members: own records of a client whose membership is decided by a coin; at most half of them.
        seed: of places, pictures and coins.
    """

    clients: tuple[str, ...]
    directions: int
    images: int
    members: int
    seed: int


class WatchedSites(Sites):
    """All clients of an audit; see `Sites`.

    Raises:
        UsageError: a client that there is not.
    """

    def __init__(self, config: Config, ledgers: Path, canaries: Canaries) -> None:
        super().__init__(config, ledgers)
        self.canaries = canaries
        names = [client_name(index) for index in range(len(self))]
        for name in canaries.clients:
            if name not in names:
                raise (
                    unknown_name("--clients", name, names)
                    if len(names) <= 20
                    else UsageError(f"--clients {name!r} is unknown: clients are {names[0]} to {names[-1]}")
                )

    @property
    def watched(self) -> Collection[str]:
        """Names of the clients that are watched."""
        return self.watches.keys()

    @cached_property
    def watches(self) -> dict[str, Watch]:
        """What is seen of each watched client; nothing at level "client", where canaries are clients of their own."""
        if self._config.privacy.level == "client":
            return {}
        chosen = self.canaries.clients or (client_name(self.smallest),)
        return {client: self._watch(int(client)) for client in sorted(set(chosen))}

    def plan(self, index: int) -> PrivacyPlan:
        """Return the client's plan; a watched one's counts canaries as records, at the run's rate, noise and steps."""
        plan = super().plan(index)
        if client_name(index) not in self.watched:
            return plan
        return widened(plan, len(self.watches[client_name(index)].canaries.records))

    def vault(self, index: int) -> Vault:
        """Return a vault around the records of client `index`, watched or not."""
        client = client_name(index)
        if client not in self.watched:
            return super().vault(index)
        config = self._config
        return WatchedVault(
            client,
            self.watches[client],
            plan=self.plan(index),
            ledger=ledger_path(self._ledgers, client),
            lifetime_epsilon=config.privacy.epsilon,
            training=self._training,
            seed=config.seed,
        )

    def _watch(self, index: int) -> Watch:
        train, wanted = self.data.train, self.canaries
        canaries = place_canaries(
            self.records_of(index),
            self.data.test,
            directions=wanted.directions,
            images=wanted.images,
            members=wanted.members,
            seed=derive_seed(wanted.seed, client_name(index)),
        )
        plan = widened(super().plan(index), len(canaries.records))
        return Watch(canaries, plan, gan_of(self._config, train.image_shape, train.num_classes).discriminator)


def widened(plan: PrivacyPlan, records: int) -> PrivacyPlan:
    """Return `plan` for more `records`: the same rate, noise, clip and steps, so that everyone's cost is the same."""
    return replace(plan, records=records)
