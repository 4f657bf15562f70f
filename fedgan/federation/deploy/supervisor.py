"""Keeps a child process running: when it ends, it is started again after a while that grows with every end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from fedgan.federation.deploy.processes import Child
from fedgan.federation.deploy.superlink import last_line

_LOGGER = logging.getLogger(__name__)
_SETTLED_S = 120.0
_RETRY_S = 2.0


@dataclass
class Kept:
    """A process that is kept running.

    Attributes:
        name: for messages.
        start: starts it, or returns what has to be waited for.
        delays: seconds to wait after the first, second, ... end in a row; the last one repeats.
        explain: turns what it said at its end into a few words for the operator.
    """

    name: str
    start: Callable[[], Child | str]
    delays: Sequence[float]
    explain: Callable[[str], str] = last_line
    child: Child | None = None
    restarts: int = 0
    _ends: int = 0
    _next_start: float = 0.0
    _waits_for: str = ""
    _started: float = field(default_factory=monotonic)

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.child is not None and self.child.code() is None

    def look(self) -> None:
        """Start it if it is due; if it has ended, say why and when it will be started again."""
        now = monotonic()
        if self.running:
            if now - self._started > _SETTLED_S:
                self._ends = 0
            return
        if self.child is not None:
            delay = self.delays[min(self._ends, len(self.delays) - 1)]
            self._ends += 1
            reason = self.explain(self.child.words())
            _LOGGER.warning("the %s ended (%s); starting it again in %g s", self.name, reason, delay)
            self.child = None
            self.restarts += 1
            self._next_start = now + delay
        if now >= self._next_start:
            self._started, self._next_start = now, now + _RETRY_S
            started = self.start()
            if isinstance(started, Child):
                self.child, self._waits_for = started, ""
            elif started != self._waits_for:
                self._waits_for = started
                _LOGGER.info("the %s waits: %s", self.name, started)

    def stop(self, grace: float) -> None:
        """End it."""
        if self.child is not None:
            self.child.stop(grace)
