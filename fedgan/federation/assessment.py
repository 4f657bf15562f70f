"""Scores of a finished run's generator, on the held-out test set alone."""

from __future__ import annotations

import json
from typing import Any

from fedgan.data import ImageDataset
from fedgan.errors import IntegrityError
from fedgan.evaluation import METRICS, choose_metrics, generate_images
from fedgan.federation.card import load_generator
from fedgan.files import write_text
from fedgan.runs import RunFolder
from fedgan.seeding import derive_seed


def assess(folder: RunFolder, test: ImageDataset, metrics: str) -> dict[str, float]:
    """Return the scores of the generator in `folder` and write them to its evaluation.json.

    What it reads of real data is `test`, held out from training and declared public: it costs no budget.

    Args:
        test: the test set of the data the generator was trained for.
        metrics: names in `METRICS`, joined by commas.

    Raises:
        UsageError: a metric is unknown or needs an extra that is not installed, or the run has no generator.
        IntegrityError: weights, card or earlier scores are damaged.
    """
    chosen = choose_metrics(metrics)
    generator, config = load_generator(folder)
    seed = derive_seed(config.seed, "evaluation")
    synthetic = generate_images(generator, config.evaluation.count, seed=seed)
    scores = {name: metric.score(synthetic, test, seed) for name, metric in chosen.items()}
    known = _earlier_scores(folder) | scores
    document = {
        "generated": config.evaluation.count,
        "real": "held-out test set, public",
        "test_records": len(test),
        "metrics": known,
        "meaning": {name: METRICS[name].meaning for name in known if name in METRICS.names()},
    }
    write_text(folder.evaluation, json.dumps(document, indent=2) + "\n")
    return scores


def _earlier_scores(folder: RunFolder) -> dict[str, Any]:
    """Return the scores that an earlier evaluation of the same generator has written."""
    if not folder.evaluation.exists():
        return {}
    try:
        return dict(json.loads(folder.evaluation.read_text(encoding="utf-8"))["metrics"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder.evaluation}: damaged: {error}; delete it to evaluate afresh") from None
