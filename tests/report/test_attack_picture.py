"""The picture of an audit: whole PNGs, red where a claim is passed, and sound on degenerate scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedgan.audit.attack.claim import Claim
from fedgan.audit.attack.findings import Evidence, judge_all
from fedgan.report.attack_picture import attack_picture


def evidence(claimed: float | None, spread: float = 1.0, canaries: int = 60) -> Evidence:
    rng = np.random.default_rng(2)
    included = rng.random(canaries) < 0.5
    return Evidence("gradient", spread * (rng.normal(size=canaries) + 3 * included), included, Claim(claimed, 1e-5))


def red_pixels(path: Path) -> int:
    from matplotlib.image import imread

    picture = imread(path)[..., :3]
    return int(((picture[..., 0] > 0.6) & (picture[..., 1] < 0.3) & (picture[..., 2] < 0.3)).sum())


@pytest.mark.parametrize(("claimed", "red"), [(0.1, True), (30.0, False), (None, False)])
def test_only_a_violation_is_red(tmp_path: Path, claimed: float | None, red: bool) -> None:
    seen = [evidence(claimed)]
    attack_picture(seen, judge_all(seen, confidence=0.95), tmp_path / "p.png")
    assert (red_pixels(tmp_path / "p.png") > 0) is red


def test_a_row_an_attack(tmp_path: Path) -> None:
    from matplotlib.image import imread

    heights = []
    for count in (1, 3):
        seen = [evidence(1.0)] * count
        attack_picture(seen, judge_all(seen, confidence=0.95), tmp_path / "p.png")
        heights.append(imread(tmp_path / "p.png").shape[0])
    assert heights[1] == pytest.approx(3 * heights[0], abs=2)


@pytest.mark.parametrize(("spread", "canaries"), [(0.0, 60), (1.0, 1)])
def test_equal_scores_and_a_single_canary_are_drawn(tmp_path: Path, spread: float, canaries: int) -> None:
    seen = [evidence(1.0, spread, canaries)]
    attack_picture(seen, judge_all(seen, confidence=0.95), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
