"""Who is protected from whom: what the level and the trust of charges mean."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

NEIGHBOURS = {"record": "add or remove one record of one client", "client": "add or remove one client"}
PROTECTED = {"record": "every single record of every client", "client": "every client, with all its records"}
# The same where a person may be at every client.
NEIGHBOURS_EVERYWHERE = {"record": "add or remove one record of every client", "client": "add or remove every client"}
PROTECTED_EVERYWHERE = {
    "record": "every person who has at most one record at each client",
    "client": "every person who stands behind any of the clients",
}
# And where one may be at one client of each run.
NEIGHBOURS_OF_RUNS = {
    "record": "add or remove one record of one client of each run",
    "client": "add or remove one client of each run",
}
PROTECTED_OF_RUNS = {
    "record": "every person who has at most one record in each run",
    "client": "every party that is one client of each run, with all its records",
}
ADVERSARIES = {
    "local": "everyone, the server and the other clients included",
    "aggregator": "everyone but the server, which adds the noise and sees what clients send before that",
}
_WHO = "of each client its name, its number of records, and in which rounds it answered"
# By level and trust of a charge.
_SEEN_BY_SERVER = {
    (
        "record",
        "local",
    ): "what each client made private before it left (noisy embedding sums, networks or gradient sums)",
    ("record", "aggregator"): "each client's sums of clipped contributions before any noise",
    ("client", "aggregator"): "each client's mean embedding and the networks that it trained, before the server clips "
    "what changed and adds the noise",
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
        overlap: "none", or where epsilon and delta are those of a person who may be at several clients: "runs" for one
            client of each run, "sum" for all.
    """

    level: str
    trust: str
    epsilon: float
    delta: float
    overlap: str = "none"

    @property
    def neighbours(self) -> str:
        """Which two worlds can hardly be told apart."""
        texts = {"none": NEIGHBOURS, "runs": NEIGHBOURS_OF_RUNS, "sum": NEIGHBOURS_EVERYWHERE}
        return texts[self.overlap][self.level]

    @property
    def protected(self) -> str:
        """Whom that hides."""
        return {"none": PROTECTED, "runs": PROTECTED_OF_RUNS, "sum": PROTECTED_EVERYWHERE}[self.overlap][self.level]

    @property
    def adversary(self) -> str:
        """From whom."""
        return ADVERSARIES[self.trust]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object, with who is protected from whom; an infinite epsilon is null."""
        return {
            "level": self.level,
            "trust": self.trust,
            "epsilon": finite(self.epsilon),
            "delta": self.delta,
            "neighbours": self.neighbours,
            "protected": self.protected,
            "from": self.adversary,
        }


@dataclass(frozen=True)
class Adversary:
    """A party that may be curious.

    Attributes:
        who: "server", "other clients" or "public".
        sees: what reaches it, in words.
        epsilon, delta: the guarantee against it; infinite where there is none.
    """

    who: str
    sees: str
    epsilon: float
    delta: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object; an infinite epsilon is null."""
        return {**asdict(self), "epsilon": finite(self.epsilon)}


def adversaries(kinds: Iterable[tuple[str, str]], epsilon: float, delta: float) -> tuple[Adversary, ...]:
    """Return what each party sees of runs, and the guarantee against it.

    Args:
        kinds: level and trust of their charges.
        epsilon, delta: the guarantee against those who see private releases alone.
    """
    seen = {(level, trust) if (level, trust) in _SEEN_BY_SERVER else ("record", trust) for level, trust in kinds}
    server = "; ".join([*(_SEEN_BY_SERVER[kind] for kind in sorted(seen or {("record", "local")}, reverse=True)), _WHO])
    trusted = any(trust == "aggregator" for _, trust in seen)
    clients = "the networks that the server sends in each round, computed from private releases alone"
    public = "the generator, its card and its samples, computed from private releases alone"
    return (
        Adversary("server", server, math.inf if trusted else epsilon, delta),
        Adversary("other clients", clients, epsilon, delta),
        Adversary("public", public, epsilon, delta),
    )


def finite(value: float) -> float | None:
    """Return `value` for JSON, which knows no infinity."""
    return value if math.isfinite(value) else None
