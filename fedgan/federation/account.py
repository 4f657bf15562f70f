"""What a party has spent and may spend: its ledger, and the budget that every charge has to fit."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from fedgan.federation.requests import Refusal
from fedgan.privacy.budget import Budget
from fedgan.privacy.events import Event
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.privacy.levels import events_at
from fedgan.privacy.plan import PrivacyPlan, Trust


class Account:
    """Charges events to a ledger as far as the budget over all its runs allows.

    Args:
        client: name of the party.
        plan: whose level, delta and accountant the budget is counted by.
        ledger: file of the ledger; not touched before the first charge.
        lifetime_epsilon: the most that it may hold over all runs.
        sign_key: signs the ledger, if there is one.
    """

    def __init__(
        self,
        client: str,
        plan: PrivacyPlan,
        ledger: Path,
        *,
        lifetime_epsilon: float,
        sign_key: EllipticCurvePrivateKey | None,
    ) -> None:
        self._client = client
        self._plan = plan
        self._ledger = ledger
        self._sign_key = sign_key
        certified = plan.planned_events() + plan.reserved_events()
        self._budget = Budget(lifetime_epsilon, delta=plan.delta, accountant=plan.accountant, certified=certified)

    def affords(self, event: Event) -> bool:
        """Return whether the ledger, which is not touched, has room for `event`; level "none" has for any."""
        lines = read_ledger(self._ledger) if self._ledger.is_file() else []
        return self._plan.level == "none" or self._budget.allows(events_at(self._plan.level, lines), event)

    def charge(
        self,
        event: Event,
        dataset: bytes,
        run: str,
        round_number: int,
        *,
        sensitivity: float,
        multiplier: float,
        trust: Trust | None = None,
    ) -> str:
        """Write `event` to the ledger, on the disk when this returns, and return the ledger's head.

        Args:
            event: the mechanism that is going to be run.
            dataset: digest of the records that it reads.
            run, round_number: for which.
            sensitivity: the most by which one presence moves what the mechanism releases.
            multiplier: standard deviation of the noise over `sensitivity`.
            trust: from whom presence is hidden; None for the plan's.

        Raises:
            Refusal: it does not fit the budget; nothing is written then.
        """
        with self.open(dataset) as ledger:
            if not self._budget.allows(ledger.events_at(self._plan.level), event):
                raise Refusal(Refusal.BUDGET_SPENT)
            return ledger.charge(
                event,
                run=run,
                round=round_number,
                clip=sensitivity,
                noise_std=sensitivity * multiplier,
                delta=self._plan.delta,
                level=self._plan.level,
                trust=trust or self._plan.trust,
            )

    def open(self, dataset: bytes) -> Ledger:
        """Return the ledger of the records with digest `dataset`, brought back into order if a crash left it torn."""
        owner, records = self._client, self._plan.records
        return Ledger.open(self._ledger, client=owner, dataset=dataset, records=records, key=self._sign_key)
