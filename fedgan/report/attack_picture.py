"""What an attack saw: scores of canaries that were in and out, and the ROC curve of telling them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from fedgan.audit.attack.findings import Evidence, Finding
from fedgan.audit.attack.ranking import roc_curve
from fedgan.report.figure import ACCENT, FAINT, INK, new_figure, save_png

_MOST_BINS = 40


def attack_picture(evidence: Sequence[Evidence], findings: Sequence[Finding], path: Path) -> None:
    """Write a PNG with a row an attack: histograms of scores on the left, the ROC curve on the right.

    Args:
        evidence: what the attacks saw, at least one of them.
        findings: what became of it, in the same order.
        path: the PNG to write, whole.
    """
    figure = new_figure(8, 2.7 * len(evidence))
    rows = figure.subplots(len(evidence), 2, squeeze=False, width_ratios=[1.7, 1])
    for (left, right), one, finding in zip(rows, evidence, findings, strict=True):
        _draw_scores(left, one, finding)
        _draw_roc(right, one, finding)
    save_png(figure, path)


def _draw_scores(axes: Axes, evidence: Evidence, finding: Finding) -> None:
    low, high = np.quantile(evidence.scores, [0.0, 1.0])
    count = max(10, min(_MOST_BINS, len(evidence.scores) // 10))
    bins = np.linspace(low, high if high > low else low + 1.0, count + 1).tolist()
    axes.hist(evidence.scores[~evidence.included], bins=bins, color=INK, alpha=0.45, label="out")
    axes.hist(evidence.scores[evidence.included], bins=bins, color=ACCENT, alpha=0.6, label="in")
    best = max(bound.epsilon for bound in finding.bounds)
    claimed = "nothing claimed" if finding.claimed is None else f"claimed {finding.claimed:.3g}"
    axes.set_title(
        f"{finding.attack}: epsilon ≥ {best:.3g}, {claimed}",
        loc="left", fontsize=10, color="#b3261e" if finding.exceeded else INK,
    )  # fmt: skip
    axes.set(xlabel="score", ylabel="canaries")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_roc(axes: Axes, evidence: Evidence, finding: Finding) -> None:
    false, true = roc_curve(evidence.scores, evidence.included)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    axes.plot(false, true, color=ACCENT, linewidth=1.8)
    axes.axvline(0.01, color=FAINT, linewidth=1)
    axes.set_title(f"AUC {finding.auc:.2f}", loc="left", fontsize=10, color=INK)
    axes.set(xlabel="out taken for in", ylabel="in found", xlim=(0, 1), ylim=(0, 1.01))
    axes.spines[["top", "right"]].set_visible(False)
