"""Ranking figures against scikit-learn and against counting pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from fedgan.audit.attack.ranking import auc, roc_curve, tpr_at_fpr


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_roc_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    included = rng.random(300) < 0.4
    scores = rng.integers(0, 20, size=300) + 4.0 * included  # with ties
    assert auc(scores, included) == pytest.approx(roc_auc_score(included, scores), abs=1e-12)
    false, true, _ = sklearn_roc_curve(included, scores, drop_intermediate=False)
    mine = roc_curve(scores, included)
    np.testing.assert_allclose(mine, (false, true), atol=1e-12)


def test_tpr_is_read_off_the_roc_curve() -> None:
    rng = np.random.default_rng(3)
    included = rng.random(2000) < 0.5
    scores = rng.normal(size=2000) + included
    false, true = roc_curve(scores, included)
    assert tpr_at_fpr(scores, included, 0.01) == pytest.approx(true[false <= 0.01].max(), abs=1e-12)


def test_separated_scores_and_equal_scores() -> None:
    included = np.array([True, False] * 50)
    assert auc(included.astype(float), included) == tpr_at_fpr(included.astype(float), included) == 1.0
    assert auc(-included.astype(float), included) == tpr_at_fpr(-included.astype(float), included) == 0.0
    assert auc(np.zeros(100), included) == 0.5
    assert tpr_at_fpr(np.zeros(100), included) == 0.0


@pytest.mark.parametrize("included", [np.ones(4, bool), np.zeros(4, bool)])
def test_one_kind_alone_cannot_be_ranked(included: np.ndarray) -> None:
    assert auc(np.arange(4.0), included) == 0.5
    assert tpr_at_fpr(np.arange(4.0), included) == 0.0
