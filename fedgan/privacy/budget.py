"""The limit that a client enforces before it charges its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedgan.privacy.accounting import epsilon as total_epsilon
from fedgan.privacy.events import Event, tally


@dataclass(frozen=True)
class Budget:
    """An epsilon that all charges together may not exceed.

    Args:
        epsilon: the limit, > 0.
        delta: the delta at which it holds, in (0, 1).
        accountant: a name in `fedgan.privacy.accountant.ACCOUNTANTS`.
        certified: events known in advance, as a plan's; what stays within them is decided without new accounting.
    """

    epsilon: float
    delta: float
    accountant: str = "pld"
    certified: tuple[Event, ...] = ()

    def allows(self, spent: Iterable[Event], proposed: Event) -> bool:
        """Return whether `spent` and `proposed` together cost at most the limit.

        Part of a set of events never costs more than the set, so being contained in certified events that cost at most
        the limit is enough; everything else is accounted for exactly.
        """
        events = [*spent, proposed]
        if tally(events) <= tally(self.certified) and self._cost(self.certified) <= self.epsilon:
            return True
        return self._cost(events) <= self.epsilon

    def _cost(self, events: Iterable[Event]) -> float:
        return total_epsilon(events, delta=self.delta, accountant=self.accountant)
