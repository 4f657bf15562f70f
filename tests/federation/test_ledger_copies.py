"""The server's copies of the sites' ledgers: whole, verified, never shorter than before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fedgan.audit.verify import verify
from fedgan.federation.ledger_copies import LedgerCopies
from fedgan.federation.requests import Release
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.privacy.signature import public_text, sign

pytestmark = pytest.mark.privacy

Charge = Callable[..., Release]
KEY, OTHER = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
RUN = "run"


@pytest.fixture
def charge(tmp_path: Path) -> Charge:
    """Charge the site's ledger once more, with a key or none, and return the release that says so."""
    path = tmp_path / "site" / "ledger.jsonl"

    def once(key: Any = None) -> Release:
        with Ledger.open(path, client="00003", dataset=b"x" * 32, records=7, key=key) as ledger:
            head = ledger.charge(Gaussian(1.0), run=RUN, round=1, clip=1.0, noise_std=1.0, delta=1e-5)
        signature = path.with_suffix(".sig").read_text() if key else ""
        return Release("00003", 1, {"a": np.zeros(1, np.float32)}, head, ledger=path.read_text(), signature=signature)

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


def test_a_release_paid_before_the_last_one_that_was_used_is_old(charge: Charge, copies: LedgerCopies) -> None:
    """Several releases of a warm start have the same run and round."""
    first, second, third = charge(), charge(), charge()
    for release in (first, second):
        given_again = replace(release, ledger=third.ledger)
        assert copies.fault(given_again, RUN, second.head) == (
            "is an old release: its charge is not behind that of the last one that was used"
        )
    assert "is an old release" in str(copies.fault(third, RUN, "0" * 64))  # a line that it does not have
    assert copies.fault(third, RUN, second.head) is None


def test_a_ledger_that_has_not_begun_is_none(copies: LedgerCopies, tmp_path: Path) -> None:
    assert copies.keep("00003", "") is None
    assert not (tmp_path / "ledgers").exists()


def test_a_signature_is_kept_beside_its_ledger(charge: Charge, copies: LedgerCopies, tmp_path: Path) -> None:
    """Also where the ledger was begun without one."""
    for release in (charge(), charge(KEY), charge(KEY)):
        assert copies.fault(release, RUN) is None
    key = tmp_path / "00003.pub"
    key.write_text(public_text(KEY.public_key()))
    for public in (key, tmp_path):  # the key itself, or the folder of all clients' keys
        report = verify([tmp_path / "ledgers"], public_key=public)
        assert (report.intact, [signed["line"] for signed in report.signed]) == (True, [4])


def test_who_has_signed_signs_for_good_with_the_same_key(charge: Charge, copies: LedgerCopies, tmp_path: Path) -> None:
    first, second = charge(KEY), charge(KEY)
    third = charge(KEY)
    assert copies.fault(second, RUN) is None
    kept = (tmp_path / "ledgers" / "client-00003.sig").read_bytes()
    ledger = tmp_path / "site" / "ledger.jsonl"
    sign(ledger, read_ledger(ledger)[-1], OTHER)
    foreign = ledger.with_suffix(".sig").read_text()
    for release, what in (
        (replace(third, signature=""), "its ledger was signed before, and is not now"),
        (replace(third, signature=foreign), "its ledger is signed with another key than before"),
        (replace(third, signature="{}"), "its ledger's signature does not verify"),
        (
            replace(third, signature=third.signature.replace('"00003"', '"00004"')),
            "its ledger's signature does not verify",
        ),
        (
            replace(third, signature=second.signature),
            "its ledger's signature does not cover the charge of this release",
        ),
        (replace(second, signature=third.signature), "its ledger's signature is under other lines"),
    ):
        assert copies.fault(release, RUN) == what
    assert (tmp_path / "ledgers" / "client-00003.sig").read_bytes() == kept
    assert copy_of(tmp_path) == second.ledger
    assert copies.fault(replace(first, ledger=third.ledger, signature=third.signature), RUN) is None  # given again
