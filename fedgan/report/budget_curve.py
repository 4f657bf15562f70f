"""Privacy spent by each client over the rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedgan.report.figure import ACCENT, FAINT, INK, new_figure, save_png

NAMED_CLIENTS = 8  # up to here each client has its colour and a line in the legend


def budget_curve(epsilons: Mapping[str, Sequence[float]], path: Path, *, limit: float | None = None) -> None:
    """Write a PNG with each client's epsilon after every round, as steps.

    Up to eight clients are named; of more, the background shows each and one strong line the largest. Where epsilon
    is infinite (no noise) the line has a gap.

    Args:
        epsilons: for each client its epsilon after round 0 (the warm start), 1, 2, …; sequences may differ in length,
            as a client whose budget is spent stops.
        path: the PNG to write, whole.
        limit: the promised epsilon, drawn as a dashed line.
    """
    figure = new_figure(7, 3.8)
    axes = figure.subplots()
    if len(epsilons) <= NAMED_CLIENTS:
        _draw_named(axes, epsilons)
    else:
        _draw_crowd(axes, list(epsilons.values()))
    if limit is not None:
        axes.axhline(limit, color=INK, linestyle="--", linewidth=1)
        axes.annotate(
            f"limit {limit:g}", (0, limit), (4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
            color=INK, size=9,
        )  # fmt: skip
    axes.set(xlabel="round", ylabel="epsilon spent")
    axes.set_ylim(bottom=0, top=None if limit is None else max(axes.get_ylim()[1], 1.12 * limit))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    save_png(figure, path)


def _draw_named(axes: Axes, epsilons: Mapping[str, Sequence[float]]) -> None:
    # Clients that follow one plan spend alike: narrowing lines keep those below visible.
    for index, (client, values) in enumerate(epsilons.items()):
        width = 1.6 + 1.0 * (len(epsilons) - 1 - index)
        axes.plot(range(len(values)), values, drawstyle="steps-mid", linewidth=width, label=f"client {client}")


def _draw_crowd(axes: Axes, epsilons: Sequence[Sequence[float]]) -> None:
    for values in epsilons:
        axes.plot(range(len(values)), values, drawstyle="steps-mid", linewidth=0.8, color=ACCENT, alpha=0.25)
    rounds = max(len(values) for values in epsilons)
    # A client that stopped keeps what it spent.
    largest = [max(values[min(index, len(values) - 1)] for values in epsilons if values) for index in range(rounds)]
    axes.plot(
        range(rounds), largest, drawstyle="steps-mid", linewidth=2, color=ACCENT,
        label=f"largest of {len(epsilons)} clients",
    )  # fmt: skip
