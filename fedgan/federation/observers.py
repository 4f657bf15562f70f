"""Who is told how a run goes."""

from __future__ import annotations

from typing import Protocol

from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server


class Observer(Protocol):
    """Is told how a run goes, to save, draw or print it."""

    def warm_start_step(self, step: int, steps: int) -> None:
        """Step `step` of `steps` of the generator's fit is done."""

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        """Round `report.round` (0: the warm start) is done; it took `seconds`."""


class Recorder(Observer, Protocol):
    """An observer that also keeps what cannot be asked for again."""

    def after_embedding(self, server: Server) -> None:
        """A release of the warm start is in and paid for; `server` still asks for more, or is to be fitted to it."""
