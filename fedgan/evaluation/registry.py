"""What a metric is and where metrics register; one file in `fedgan/evaluation/metrics/` adds one.

What a metric may read: the synthetic images, which are released already, and the test set, which is stated to be
public. Records that clients train on never reach a metric, so evaluating costs no privacy budget. That holds only
as long as the test set's people are not promised privacy themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.inception import find_weights
from fedgan.extras import require_extra
from fedgan.registry import Registry

Score: TypeAlias = Callable[[ImageDataset, ImageDataset, int], float]
"""Called with (synthetic, test, seed); returns a number on the metric's scale, the same one for the same arguments."""


class Scale(Enum):
    """What numbers a metric gives, and which of them are good."""

    SHARE = "0 to 1, more is better"
    """In [0, 1]: an accuracy, or a part of the images."""
    EXCESS = "0 to 1, about 0.01 for real images, more is worse"
    """In [0, 1]: a part of the images that should be small."""
    DENSITY = "about 1 for real images, less is worse"
    """At least 0, without an upper bound."""
    DISTANCE = "0 at best, less is better"
    """At least 0 without an upper bound; an unbiased estimate may fall below 0 by its own noise."""


@dataclass(frozen=True)
class Metric:
    """A score of synthetic images against the public test set.

    Attributes:
        score: computes it.
        scale: what its numbers range over.
        meaning: one line for whoever reads the number: what is measured on which features, without the scale.
        package: what the extra `evaluation` has to have installed for it; "" for nothing.
        with_weights: makes the score from the file of Inception's weights, for a metric that needs them.
    """

    score: Score
    scale: Scale
    meaning: str
    package: str = ""
    with_weights: Callable[[Path], Score] | None = None


METRICS: Registry[Metric] = Registry("evaluation.metrics", "fedgan.evaluation.metrics")


def choose_metrics(names: str, inception_weights: Path | None = None) -> dict[str, Metric]:
    """Return the metrics called `names`, joined by commas; every one of them can be computed here.

    Args:
        names: joined by commas.
        inception_weights: file of Inception's weights for metrics that need them; None for torch's cache, which is
            filled by a download.

    Raises:
        UsageError: a name is unknown, or the extra or the weights that its metric needs are not there.
    """
    chosen = {name: METRICS[name] for name in (part.strip() for part in names.split(","))}
    for name, metric in chosen.items():
        if metric.package:
            wanted_by = f"{METRICS.key} = {name!r}"
            require_extra("evaluation", package=metric.package, wanted_by=wanted_by, key=METRICS.key)
        if metric.with_weights is not None:
            chosen[name] = replace(metric, score=metric.with_weights(find_weights(inception_weights)))
    return chosen
