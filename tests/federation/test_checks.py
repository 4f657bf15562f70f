"""Each fault of a reply is found and named; what is sound passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedgan.federation.checks import arrays_fault, release_fault
from fedgan.federation.requests import Arrays, Release

EXPECTED = {"discriminator/weight": (2, 3), "discriminator/bias": (2,)}


def arrays(**changes: object) -> Arrays:
    sound = {name: np.ones(shape, np.float32) for name, shape in EXPECTED.items()}
    return {**sound, **{f"discriminator/{name}": value for name, value in changes.items()}}  # type: ignore[dict-item]


def release(**changes: object) -> Release:
    return replace(Release("00000", 3, arrays(), "head", 0.5, 2, 0.7), **changes)  # type: ignore[arg-type]


def fault(reply: Release) -> str | None:
    return release_fault(reply, round_number=3, steps=4, expected=EXPECTED)


@pytest.mark.parametrize(
    "sound",
    [
        release(),
        release(fake_accuracy=0.0),
        release(fake_accuracy=1.0),
        release(noise_std=0.0),
        release(generator_steps=0),
        release(generator_steps=4),
        release(arrays=arrays(bias=np.full(2, 1e30, np.float32))),
    ],
)
def test_a_sound_release_passes(sound: Release) -> None:
    assert fault(sound) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"round": 2}, "answers round 2 instead of 3"),
        ({"stage": 1}, "answers stage 1 of the warm start instead of 0"),
        ({"fake_accuracy": float("nan")}, "fake_accuracy is nan"),
        ({"fake_accuracy": 1.5}, "fake_accuracy is 1.5"),
        ({"fake_accuracy": -0.1}, "fake_accuracy is -0.1"),
        ({"noise_std": float("nan")}, "noise_std is nan"),
        ({"noise_std": float("inf")}, "noise_std is inf"),
        ({"noise_std": 1e300}, "noise_std is 1e+300"),
        ({"noise_std": -1.0}, "noise_std is -1.0"),
        ({"generator_steps": -1}, "generator_steps is not in [0, 4]"),
        ({"generator_steps": 5}, "generator_steps is not in [0, 4]"),
        ({"generator_steps": 10**5000}, "generator_steps is not in [0, 4]"),
        ({"arrays": {}}, "array discriminator/bias is missing"),
        ({"arrays": arrays(extra=np.ones(1, np.float32))}, "array 'discriminator/extra' was not asked for"),
        (
            {"arrays": arrays(bias=np.ones(2, np.float64))},
            "array discriminator/bias is float64 instead of float32",
        ),
        ({"arrays": arrays(bias=np.ones(2, object))}, "array discriminator/bias is object instead of float32"),
        (
            {"arrays": arrays(weight=np.ones((3, 2), np.float32))},
            "array discriminator/weight has shape (3, 2) instead of (2, 3)",
        ),
        (
            {"arrays": arrays(weight=np.array([[1, 2, 3], [4, np.nan, 6]], np.float32))},
            "array discriminator/weight is not finite",
        ),
        (
            {"arrays": arrays(bias=np.array([np.inf, 0], np.float32))},
            "array discriminator/bias is not finite",
        ),
    ],
)
def test_each_fault_is_named(changes: dict[str, object], words: str) -> None:
    assert fault(release(**changes)) == words


def test_a_strangers_name_is_quoted_and_cut() -> None:
    name = "\x1b[2J" + "x" * 10_000
    words = arrays_fault({**arrays(), name: np.ones(1, np.float32)}, EXPECTED)
    assert words is not None
    assert "\x1b" not in words
    assert len(words) < 120
