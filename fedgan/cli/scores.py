"""How scores are shown: as numbers, as a table, and in words."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from fedgan.cli.console import new_table


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
