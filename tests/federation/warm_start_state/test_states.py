"""Every kind of warm start asks, absorbs and resumes alike, and a trusted server adds each release's own noise."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.inspection import Inspector
from fedgan.federation.requests import EmbedRequest, Release
from fedgan.federation.warm_start_state import Beginning, beginning_of
from fedgan.privacy.noise import SeededNoise
from fedgan.training.gan import Gan, build_gan
from fedgan.training.warm_start import embed

KINDS: dict[str, dict[str, Any]] = {
    "mean embedding": {},
    "learned": {"shares": (0.5, 0.3, 0.2)},
    "moments": {"mixture": True, "shares": (0.1, 0.4, 0.2, 0.3)},
    "refined": {"mixture": True, "refined": True, "shares": (0.1, 0.2, 0.15, 0.25, 0.3)},
}
NOISE_STD = 0.01


@pytest.fixture(params=KINDS, ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    return KINDS[request.param]


@pytest.fixture(autouse=True)
def quick_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedgan.training.warm_start.classifier.LEARNING_STEPS", 2)


def gan_of(kind: dict[str, Any]) -> Gan:
    name, width = ("mixture", 3) if kind.get("mixture") else ("mlp", 8)
    device = torch.device("cpu")
    return build_gan(name, latent_dim=4, width=width, num_classes=4, image_shape=(1, 8, 8), seed=0, device=device)


def begun(kind: dict[str, Any]) -> Beginning:
    settings = WarmStart(20, 3, 20, 1e-3, "released", noise_std=NOISE_STD, **kind)
    noise = SeededNoise(0)
    return beginning_of(settings, gan_of(kind), 0, compression="none", noise=noise, held_back=False)


def release(beginning: Beginning, records: ImageDataset) -> None:
    """Answer the next request with the exact sums of `records`."""
    sums = embed(records, beginning._begun().row_map())
    assert sums.shape == beginning.shape()
    stage = beginning.request("run").stage
    answer = Release("00000", 0, {"embedding": sums.float().numpy()}, stage=stage)
    report = beginning.absorb([answer], Inspector(), refused={}, records={"00000": len(records)})
    assert report.refused == {}
    beginning.finish()


def same(one: EmbedRequest, other: EmbedRequest) -> bool:
    mine, theirs = vars(one), vars(other)
    arrays = mine["arrays"].keys() == theirs["arrays"].keys() and all(
        np.array_equal(array, theirs["arrays"][name]) for name, array in mine["arrays"].items()
    )
    return arrays and all(value == theirs[name] for name, value in mine.items() if name != "arrays")


@pytest.mark.privacy
def test_the_server_adds_the_noise_of_each_release(
    kind: dict[str, Any], records: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the clients were charged for release i is noise of `noise_std` / sqrt(share i)."""
    added: list[float] = []

    def noted(values: torch.Tensor, std: float, noise: Any) -> torch.Tensor:
        added.append(std)
        return values

    monkeypatch.setattr("fedgan.federation.embeddings.add_noise", noted)
    beginning = begun(kind)
    while beginning.pending:
        beginning.learn(None)
        release(beginning, records)
    assert added == [NOISE_STD / math.sqrt(share) for share in kind.get("shares", (1.0,))]


def test_a_state_that_was_saved_asks_for_the_same(kind: dict[str, Any], records: ImageDataset) -> None:
    beginning, steps = begun(kind), [0]

    def resumed() -> Beginning:
        other, target = begun(kind), beginning.target
        kept = {name: tensor.clone() for name, tensor in beginning.state().items()}
        other.load_state(kept, target.noise_std if target else None)
        assert (other.pending, other.steps) == (beginning.pending, beginning.steps)
        assert (other.target is None) == (target is None)
        assert other.state().keys() == kept.keys()
        assert all(torch.equal(tensor, kept[name]) for name, tensor in other.state().items())
        return other

    while beginning.pending:
        if beginning.learn(None):
            steps.append(beginning.steps)
        assert same(resumed().request("run"), beginning.request("run"))
        release(beginning, records)
        steps.append(beginning.steps)
        resumed()
    assert steps == sorted(steps)


def test_a_release_of_another_stage_is_refused(kind: dict[str, Any], records: ImageDataset) -> None:
    beginning = begun(kind)
    arrays = {"embedding": np.zeros(beginning.shape(), np.float32)}
    late = Release("00000", 0, arrays, stage=beginning.request("run").stage + 1)
    report = beginning.absorb([late], Inspector(), refused={}, records={"00000": len(records)})
    assert report.refused.keys() == {"00000"}
    with pytest.raises(ValueError, match="no client sent an embedding"):
        beginning.finish()


def test_nothing_is_fitted_while_releases_are_to_come(kind: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no target to fit to"):
        begun(kind).fit(None)


def test_a_run_without_a_warm_start_has_nothing_to_ask() -> None:
    nothing = beginning_of(None, gan_of({}), 0, compression="none", noise=SeededNoise(0), held_back=False)
    assert not nothing.pending
    assert nothing.state() == {}
    assert not nothing.learn(None)
    for question in (partial(nothing.request, "run"), nothing.shape, nothing.finish):
        with pytest.raises(ValueError, match="this run has no warm start"):
            question()


def test_moments_want_a_mixture_generator() -> None:
    settings = WarmStart(20, 3, 20, 1e-3, "released", **KINDS["moments"])
    with pytest.raises(ValueError, match="wants a mixture generator"):
        beginning_of(settings, gan_of({}), 0, compression="none", noise=SeededNoise(0), held_back=False)
