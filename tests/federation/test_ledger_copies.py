"""The server's copies of the sites' ledgers: whole, verified, never shorter than before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedgan.federation.ledger_copies import LedgerCopies
from fedgan.federation.requests import Release
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger

pytestmark = pytest.mark.privacy

Charge = Callable[[], Release]
RUN = "run"


@pytest.fixture
def charge(tmp_path: Path) -> Charge:
    """Charge the site's ledger once more and return the release that says so."""
    path = tmp_path / "site" / "ledger.jsonl"

    def once() -> Release:
        with Ledger.open(path, client="00003", dataset=b"x" * 32, records=7) as ledger:
            head = ledger.charge(Gaussian(1.0), run=RUN, round=1, clip=1.0, noise_std=1.0, delta=1e-5)
        return Release("00003", 1, {"a": np.zeros(1, np.float32)}, head, ledger=path.read_text())

    return once


@pytest.fixture
def copies(tmp_path: Path) -> LedgerCopies:
    return LedgerCopies(tmp_path / "ledgers")


def copy_of(tmp_path: Path) -> str:
    return (tmp_path / "ledgers" / "client-00003.jsonl").read_text()


def test_a_ledger_that_grows_is_kept_as_it_is(charge: Charge, copies: LedgerCopies, tmp_path: Path) -> None:
    for release in (charge(), charge()):
        assert copies.fault(release, RUN) is None
        assert copy_of(tmp_path) == release.ledger


def test_a_release_given_again_brings_a_longer_ledger(charge: Charge, copies: LedgerCopies) -> None:
    first, second = charge(), charge()
    assert copies.fault(replace(first, ledger=second.ledger), RUN) is None


def test_what_does_not_verify_or_continue_is_a_fault_and_not_kept(
    charge: Charge, copies: LedgerCopies, tmp_path: Path
) -> None:
    first, second = charge(), charge()
    assert copies.fault(second, RUN) is None
    shortened, forged = first.ledger, second.ledger.replace('"noise_multiplier":1.0', '"noise_multiplier":9.0')
    assert "does not continue" in str(copies.fault(first, RUN))
    assert "does not continue" in str(copies.keep("00003", shortened))
    assert "does not continue" in str(copies.keep("00003", ""))
    assert copy_of(tmp_path) == second.ledger
    elsewhere = LedgerCopies(tmp_path / "elsewhere")
    assert elsewhere.keep("00003", forged) == "its ledger does not verify"
    assert elsewhere.keep("00003", second.ledger[:-1]) == "its ledger does not verify"
    assert elsewhere.keep("00004", second.ledger) == "its ledger is another client's"
    assert elsewhere.fault(replace(second, ledger=""), RUN) == "came without its ledger"
    unpaid = replace(second, head="0" * 64)
    assert elsewhere.fault(unpaid, RUN) == "its ledger does not hold the charge of this release"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_an_old_release_is_a_fault_whatever_round_it_claims(charge: Charge, copies: LedgerCopies, number: int) -> None:
    old = replace(charge(), round=number)
    assert copies.fault(old, "another run") == f"is an old release: its charge is for round 1 of run '{RUN}'"
    if number != 1:
        assert copies.fault(old, RUN) == f"is an old release: its charge is for round 1 of run '{RUN}'"


def test_a_ledger_that_has_not_begun_is_none(copies: LedgerCopies, tmp_path: Path) -> None:
    assert copies.keep("00003", "") is None
    assert not (tmp_path / "ledgers").exists()
