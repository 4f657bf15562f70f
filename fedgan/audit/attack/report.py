"""The report behind `fedgan audit attack`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedgan.audit.attack.findings import Finding


@dataclass(frozen=True)
class AttackReport:
    """Lower bounds beside what is claimed.

    Attributes:
        level: whose presence is claimed to be hidden: "record" or "client", or "none".
        delta: the delta at which every epsilon here is meant.
        confidence: with which all lower bounds hold together.
        clients: whose records held canaries; none at level "client", where canaries are clients of their own.
        seed: of the coins, with places and pictures of the canaries.
        findings: a finding an attack.
    """

    level: str
    delta: float
    confidence: float
    clients: tuple[str, ...]
    seed: int
    findings: tuple[Finding, ...]

    @property
    def exceeded(self) -> bool:
        """Whether a lower bound is above what is claimed."""
        return any(finding.exceeded for finding in self.findings)

    @property
    def lower_bound(self) -> float:
        """The largest of all lower bounds."""
        return max((bound.epsilon for finding in self.findings for bound in finding.bounds), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "audit": "attack",
            "level": self.level,
            "delta": self.delta,
            "confidence": self.confidence,
            "lower_bound": self.lower_bound,
            "exceeded": self.exceeded,
            "clients": list(self.clients),
            "seed": self.seed,
            "attacks": [finding.to_dict() for finding in self.findings],
        }
