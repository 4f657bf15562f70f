"""Shows a run as it goes and draws what the generator makes."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedgan.cli.console import stderr
from fedgan.config import Config
from fedgan.evaluation import generate_images
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.report.sample_grid import sample_grid
from fedgan.runs import RunFolder

_PICTURES = 10
_COLUMNS = 10


class RunProgress:
    """Progress bars on stderr, and about ten sample grids over the whole run.

    Args:
        folder: the grids go into its samples/.
        rounds: rounds of the whole run.
        seed: of the latents, the same for every grid, so that pictures of different rounds compare.
        quiet: no bars.
    """

    def __init__(self, folder: RunFolder, *, rounds: int, seed: int, quiet: bool) -> None:
        self._folder = folder
        self._rounds = rounds
        self._seed = seed
        self._every = max(1, rounds // _PICTURES)
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=stderr,
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            self._progress.stop()

    def warm_start_step(self, step: int, steps: int) -> None:
        """Move the warm start's bar."""
        if step % 10 == 0 or step == steps:
            self._progress.update(self._task("warm start", steps), completed=step)

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        """Move the rounds' bar, and draw samples every now and then; with early stopping, of every better generator."""
        if report.round > 0:
            accuracy = "" if report.fake_accuracy is None else f"fakes found {report.fake_accuracy:.0%}"
            missing = f", {len(report.refused)} clients missing" if report.refused else ""
            note = f"{accuracy}{missing}"
            self._progress.update(self._task("rounds", self._rounds), completed=report.round, note=note)
        if watch := server.early_stopping:
            due = report.round == watch.best_round
        else:
            due = report.round % self._every == 0 or report.round == self._rounds
        if due:
            draw_samples(server.average, self._folder, report.round, self._seed)

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._progress.start()  # not before: bars that never were leave an empty line
            self._tasks[name] = self._progress.add_task(name, total=total, note="")
        return self._tasks[name]


class _Average(Protocol):
    """Holds a generator."""

    @property
    def module(self) -> object:
        """The averaged generator."""


def draw_samples(average: _Average, folder: RunFolder, round_number: int, seed: int) -> None:
    """Write samples/round-NNNNN.png: ten images of each class."""
    generator = average.module
    classes = generator.num_classes  # type: ignore[attr-defined]
    labels = [label for label in range(classes) for _ in range(_COLUMNS)]
    images = generate_images(generator, len(labels), labels=labels, seed=seed)  # type: ignore[arg-type]
    sample_grid(images.images, images.labels, classes, folder.samples / f"round-{round_number:05d}.png")


def samples_only(config: Config, folder: RunFolder) -> RunProgress:
    """Return what draws sample grids and shows nothing, for a server that runs inside Flower."""
    return RunProgress(folder, rounds=config.federation.rounds, seed=config.seed, quiet=True)
