"""Scores of a finished run's generator, on the held-out test set alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedgan.config import Config
from fedgan.data import ImageDataset, is_public
from fedgan.evaluation import METRICS, choose_metrics, generate_images
from fedgan.evaluation.classes import ClassAnalysis, analyse_classes
from fedgan.evaluation.shared import shared
from fedgan.federation.card import load_generator
from fedgan.federation.evaluation_file import earlier_scores, write_scores
from fedgan.federation.machine import judging_device
from fedgan.runs import RunFolder
from fedgan.seeding import derive_seed


def assess(folder: RunFolder, test: ImageDataset, metrics: str, *, weights: Path | None = None) -> dict[str, float]:
    """Return the scores of the generator in `folder` and write them to its evaluation.json.

    Networks run on a GPU if there is one, unless the run's `device` is "cpu"; there scores vary in their last digits.
    What it reads of real data is `test`, held out from training: no budget covers it, and `what_is_read` says so.

    Args:
        test: the test set of the data the generator was trained for.
        metrics: names in `METRICS`, joined by commas.
        weights: file of Inception's weights, for metrics that need them; None for the one that the run names, if any.

    Raises:
        UsageError: a metric is unknown, needs an extra or weights that are not there, or the run has no generator.
        IntegrityError: weights, card or earlier scores are damaged.
    """
    synthetic, config = judged_images(folder)
    chosen = choose_metrics(metrics, weights or inception_weights(config))
    seed = derive_seed(config.seed, "evaluation")
    real = on_device(test, synthetic.labels.device)
    scores = {name: metric.score(synthetic, real, seed) for name, metric in chosen.items()}
    known = earlier_scores(folder, "metrics") | scores
    _write(folder, config, test, known, earlier_scores(folder, "classes"))
    return scores


def assess_classes(folder: RunFolder, test: ImageDataset) -> ClassAnalysis:
    """Return what became of each class and write it to evaluation.json; see `assess`."""
    synthetic, config = judged_images(folder)
    real = on_device(test, synthetic.labels.device)
    analysis = analyse_classes(synthetic, real, derive_seed(config.seed, "evaluation"))
    _write(folder, config, test, earlier_scores(folder, "metrics"), analysis.to_dict())
    return analysis


@shared
def judged_images(folder: RunFolder) -> tuple[ImageDataset, Config]:
    """Return the images by which the generator in `folder` is judged, on the device for it, and the configuration."""
    generator, config = load_generator(folder)
    device, seed = judging_device(config.device), derive_seed(config.seed, "evaluation")
    return generate_images(generator.to(device), config.evaluation.count, seed=seed).to(device), config


@shared
def on_device(test: ImageDataset, device: torch.device) -> ImageDataset:
    """Return `test` on `device`, the same object each time, by which metrics know what they have computed."""
    return test.to(device)


def inception_weights(config: Config) -> Path | None:
    """Return the file that `config` names, or None."""
    given = config.evaluation.inception_weights
    return Path(given).expanduser() if given else None


def what_is_read(source: str, count: int) -> str:
    """Return in words what an evaluation reads of real data: `count` images of the test set of `source`."""
    public = " (a public benchmark)" if is_public(source) else ""
    return f"held-out test set of {source}{public}, {count} images; read without noise, not covered by epsilon"


def _write(
    folder: RunFolder, config: Config, test: ImageDataset, scores: dict[str, Any], classes: dict[str, Any]
) -> None:
    document = {
        "generated": config.evaluation.count,
        "real": what_is_read(config.data.name, len(test)),
        "test_records": len(test),
        "metrics": scores,
        "meaning": {name: METRICS[name].meaning for name in scores if name in METRICS.names()},
    }
    if classes:
        document["classes"] = classes
    write_scores(folder, document)
