"""How scores are shown: as numbers, as a table, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from fedgan.cli.console import new_table

if TYPE_CHECKING:
    from fedgan.evaluation.classes import ClassAnalysis
    from fedgan.evaluation.memorisation import Memorisation


def format_score(name: str, score: float) -> str:
    """Return the score of metric `name` with as many digits as its scale deserves."""
    from fedgan.evaluation import METRICS, Scale

    return f"{score:.4g}" if METRICS[name].scale is Scale.DISTANCE else f"{score:.4f}"


def score_table(scores: Mapping[str, float]) -> Table:
    """Return a table with a row a metric."""
    from fedgan.evaluation import METRICS

    table = new_table("metric", "score", "scale")
    for name, score in scores.items():
        table.add_row(name, format_score(name, score), METRICS[name].scale.value)
    return table


def legend(scores: Mapping[str, float], *, generated: int, test_records: int) -> str:
    """Return a line on what was compared, and one for each metric of `scores` on what its number means."""
    from fedgan.evaluation import METRICS

    metrics = {name: METRICS[name] for name in scores}
    lines = [f"  {name}: {metric.meaning} ({metric.scale.value})" for name, metric in metrics.items()]
    return "\n".join([f"{generated} generated images, {test_records} held-out real ones:", *lines])


def class_table(analysis: ClassAnalysis) -> list[Table | str]:
    """Return a table with a row a class, and what its columns mean."""
    table = new_table("class", "accuracy", "most taken for", "recognised", "entropy")
    columns = zip(analysis.accuracy, analysis.mistaken, analysis.recognised, analysis.entropy, strict=True)
    for label, (accuracy, taken, recognised, entropy) in enumerate(columns):
        others = [count if other != label else -1 for other, count in enumerate(taken)]
        worst = others.index(max(others)) if max(others) > 0 else None
        table.add_row(
            str(label), _share(accuracy), "" if worst is None else f"{worst} ({others[worst]})", _share(recognised),
            "" if entropy is None else f"{entropy:.2f}",
        )  # fmt: skip
    return [
        table,
        "  accuracy: share of the class's real test images that a CNN trained on the generated images gets right\n"
        "  most taken for: the class that it takes most of the others for, and how many\n"
        "  recognised: share of the images generated as this class that a CNN trained on the test set takes for it\n"
        "  entropy: of what that CNN takes them for, in bits (0: always the same class); over all classes "
        f"{analysis.conditional_entropy:.3f}",
    ]


def memorisation_text(found: Memorisation, statement: str) -> str:
    """Return in words how near generated images are to training records."""
    lines = [
        f"NOT PRIVATE: {statement}",
        f"  {found.generated} generated images against {found.compared} training records and as many test images, "
        "in pixels:",
        f"  median distance to the nearest: training {found.nearest_training:.4g}, test {found.nearest_test:.4g}, "
        f"ratio {found.ratio:.3f} (below 1: training records are nearer)",
        f"  nearer to a training record: {found.nearer_to_training:.3f} +- {found.standard_error:.3f} "
        "(0.5: nothing memorised)",
    ]
    if gap := found.discriminator:
        lines.append(
            f"  discriminator's mean logit: training {gap.training:.4g}, test {gap.test:.4g}; "
            f"tells them apart with AUC {gap.auc:.3f} (0.5: cannot)"
        )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
