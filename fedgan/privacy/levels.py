"""Charges at one level as they bear on the other: a record within a client that is hidden, a client made of records."""

from __future__ import annotations

from collections.abc import Iterable

from fedgan.privacy.events import Composed, Event, Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.ledger_line import LedgerLine

UNBOUNDED = Gaussian(0.0)


def events_at(level: str, lines: Iterable[LedgerLine]) -> tuple[Event, ...]:
    """Return what the charges in `lines` did to the presence of one "record" or of one "client"."""
    return tuple(event_at(level, line.level, line.event) for line in lines if line.event is not None)


def event_at(level: str, charged: str, event: Event) -> Event:
    """Return what `event`, charged at the level `charged`, did to the presence of one "record" or of one "client".

    At its own level it stands as it is. At level "record", one charged at level "client" counts as `of_one_record`.
    At level "client", one charged at level "record" is unbounded: it says nothing of many records.
    """
    if charged == level:
        return event
    return of_one_record(event) if level == "record" else UNBOUNDED


def of_one_record(event: Event) -> Event:
    """Return a bound at level "record" on an `event` at level "client".

    One record more or less turns a client's contribution into any other within the clip: a distance of two clips where
    the presence of the client makes one, so the noise counts half. The sampling of clients is given up: accountants
    amplify the presence of a client, and here it is present on both sides.
    """
    match event:
        case Gaussian(noise_multiplier):
            return Gaussian(noise_multiplier / 2)
        case PoissonSampled(probability, inner):
            return of_one_record(inner) if probability > 0 else Composed(())
        case SelfComposed(count, inner):
            return SelfComposed(count, of_one_record(inner))
        case Composed(events):
            return Composed(tuple(of_one_record(inner) for inner in events))
