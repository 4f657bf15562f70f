"""A request repeated after a crash is answered from memory, and only the very same one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedgan.federation.replay import forget_releases, kept_release, recall, remember
from fedgan.federation.requests import EmbedRequest, Release, TrainRequest

REQUEST = TrainRequest("run", 2, 3, 3, 1, {"generator/a": np.ones((2, 3), dtype=np.float32)})
RELEASE = Release("00000", 2, {"discriminator/b": np.arange(4, dtype=np.float32)}, "ab" * 32, 1.5, 3, 0.25)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return kept_release(tmp_path / "client-00000.jsonl")


def test_the_same_request_gets_the_same_answer(path: Path) -> None:
    remember(path, REQUEST, RELEASE)
    found = recall(path, REQUEST)
    assert found is not None
    assert replace(found, arrays={}) == replace(RELEASE, arrays={})
    np.testing.assert_array_equal(found.arrays["discriminator/b"], RELEASE.arrays["discriminator/b"])


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, run="another"),
        replace(REQUEST, round=3),
        replace(REQUEST, steps=4),
        replace(REQUEST, discriminator_steps=2),
        replace(REQUEST, arrays={"generator/a": np.full((2, 3), 1.0000001, dtype=np.float32)}),
        replace(REQUEST, arrays={"generator/a": np.ones((3, 2), dtype=np.float32)}),
        replace(REQUEST, augmentation_chance=0.5),
        EmbedRequest("run", 60, 0),
    ],
    ids=["run", "round", "steps", "rate", "weights", "shape", "chance", "kind"],
)
def test_any_other_request_gets_none(path: Path, other: TrainRequest | EmbedRequest) -> None:
    remember(path, REQUEST, RELEASE)
    assert recall(path, other) is None


def test_a_damaged_or_missing_memory_is_none(path: Path) -> None:
    assert recall(path, REQUEST) is None
    remember(path, REQUEST, RELEASE)
    content = path.read_bytes()
    for damaged in (content[:-1], content[:20], b"", content[:-4] + b"\0\0\0\0"):
        path.write_bytes(damaged)
        assert recall(path, REQUEST) is None


def test_memories_are_removed_once_they_are_not_needed(path: Path) -> None:
    remember(path, REQUEST, RELEASE)
    forget_releases(path.parent)
    assert list(path.parent.iterdir()) == []
