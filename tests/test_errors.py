"""Every error is one line for a user, with the exit code that belongs to it."""

from __future__ import annotations

import pytest

from fedgan.errors import BudgetError, FedganError, IntegrityError, UsageError, bad_value, unknown_name


@pytest.mark.parametrize(("kind", "code"), [(FedganError, 1), (UsageError, 2), (BudgetError, 3), (IntegrityError, 4)])
def test_each_kind_has_its_exit_code(kind: type[FedganError], code: int) -> None:
    assert kind("text").exit_code == code
    assert isinstance(kind("text"), FedganError)
    assert str(kind("text")) == "text"


def test_bad_usage_is_a_value_error() -> None:
    assert isinstance(UsageError("text"), ValueError)
    assert UsageError("text").key is None


def test_bad_value_names_key_value_and_what_is_accepted() -> None:
    error = bad_value("privacy.epsilon", 0, "a positive number")
    assert str(error) == "privacy.epsilon = 0 is not accepted: give a positive number"
    assert error.key == "privacy.epsilon"


def test_unknown_name_offers_the_nearest_and_lists_all() -> None:
    error = unknown_name("loss.name", "hing", ["wasserstein", "hinge"])
    assert str(error) == "loss.name = 'hing' is unknown: did you mean 'hinge'? accepted are hinge, wasserstein"
    assert error.key == "loss.name"


def test_unknown_name_without_a_near_one_lists_all() -> None:
    assert str(unknown_name("loss.name", "xyz", ["hinge"])) == "loss.name = 'xyz' is unknown: accepted are hinge"
