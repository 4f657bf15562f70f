"""Who is protected from whom: what the level and the trust of charges mean."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

NEIGHBOURS = {"record": "add or remove one record of one client", "client": "add or remove one client"}
PROTECTED = {"record": "every single record of every client", "client": "every client, with all its records"}
ADVERSARIES = {
    "local": "everyone, the server and the other clients included",
    "aggregator": "everyone but the server, which sees clipped sums before it adds the noise",
}


@dataclass(frozen=True)
class LevelBudget:
    """The guarantee at one level.

    Attributes:
        level: whose presence is hidden: "record" or "client".
        trust: "local", or "aggregator" if a charge trusts the server.
        epsilon: the largest over all clients, of all their charges; infinite at level "client" where a client was also
            charged at level "record".
        delta: the delta at which it holds.
    """

    level: str
    trust: str
    epsilon: float
    delta: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object, with who is protected from whom; an infinite epsilon is null."""
        return {
            **asdict(self),
            "epsilon": finite(self.epsilon),
            "neighbours": NEIGHBOURS[self.level],
            "protected": PROTECTED[self.level],
            "from": ADVERSARIES[self.trust],
        }


def finite(value: float) -> float | None:
    """Return `value` for JSON, which knows no infinity."""
    return value if math.isfinite(value) else None
