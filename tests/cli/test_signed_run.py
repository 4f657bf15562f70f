"""A run with `--sign-key`: its ledgers are signed, also when it goes on, and `audit verify` asks for the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.privacy


@pytest.fixture
def key(tmp_path: Path) -> Path:
    secret, encoding = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding
    content = secret.private_bytes(encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    (tmp_path / "key").write_bytes(content)
    public = secret.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (tmp_path / "key.pub").write_bytes(public)
    return tmp_path / "key"


def test_a_run_signs_its_ledgers_and_goes_on_signing(
    fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, public = tmp_path / "run", key.with_suffix(".pub")
    with monkeypatch.context() as patch:
        patch.setattr("fedgan.federation.run.save_generator", None)
        assert fedgan("simulate", config, *tiny, "--output", run, "--sign-key", key, "--quiet").code == 1
    assert fedgan("audit", "verify", run / "ledgers", "--public-key", public).code == 0
    ledger = run / "ledgers" / "client-00000.jsonl"
    result = fedgan("simulate", "--resume", "--output", run, "--quiet")
    assert (result.code, result.err) == (
        2,
        f"fedgan: {ledger} is signed: it goes on only with the key that signed it (--sign-key; at a site sign_key)\n",
    )
    assert fedgan("simulate", "--resume", "--output", run, "--sign-key", key, "--quiet").code == 0
    result = fedgan("audit", "verify", run, "--public-key", public)
    assert (result.code, result.err) == (0, "")
    assert f"3 ledgers signed with {public.read_text()}\n" in result.out
    document = json.loads(fedgan("audit", "verify", run, "--json").out)
    assert [signature["line"] for signature in document["signed"]] == [4, 4, 4]
    ledger.with_suffix(".sig").unlink()
    assert fedgan("audit", "verify", run).code == 0
    result = fedgan("audit", "verify", run, "--public-key", public)
    assert result.code == 4
    assert result.err == f"fedgan: {ledger}: it is not signed: there is no client-00000.sig beside it\n"


def test_bad_keys_are_one_line(fedgan: Callable, config: Path, tiny: list[str], run: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    new = tmp_path / "run"
    start = ("simulate", config, *tiny, "--output", new, "--sign-key")
    for arguments, said in [
        ((*start, tmp_path / "key"), "is not accepted: give a private EC key"),
        ((*start, tmp_path / "none"), "cannot be read: No such file"),
        (("audit", "verify", run, "--public-key", tmp_path / "key"), "is not accepted: give a public EC key"),
    ]:
        result = fedgan(*arguments)
        assert result.code == 2
        assert len(result.err.splitlines()) == 1
        assert said in result.err
    assert not new.exists()


def test_there_is_nothing_to_sign_without_privacy(
    fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path, key: Path
) -> None:
    level = ("--set", "privacy.level='none'")
    result = fedgan("simulate", config, *tiny, *level, "--output", tmp_path / "run", "--sign-key", key)
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "--sign-key: nothing is signed at privacy.level = 'none'" in result.err


def test_a_key_without_private_reads_is_refused(refused: Callable, contents: Callable, run: Path, key: Path) -> None:
    before = contents(run)
    line = refused("evaluate", run, "--sign-key", key)
    assert line == "--sign-key: nothing is signed without --private-reads, which charges the ledgers; give both"
    assert contents(run) == before


def test_private_reads_of_a_run_without_ledgers_take_no_key(
    fedgan: Callable, refused: Callable, contents: Callable, config: Path, tiny: list[str], tmp_path: Path, key: Path
) -> None:
    run = tmp_path / "run"
    level = ("--set", "privacy.level='none'")
    assert fedgan("simulate", config, *tiny, *level, "--output", run, "--quiet").code == 0
    before = contents(run)
    for given in (key, tmp_path / "no such key"):
        line = refused("evaluate", run, "--private-reads", 1, "--sign-key", given)
        assert line == "--sign-key: nothing is signed at privacy.level = 'none', which keeps no ledgers"
    assert contents(run) == before


def test_a_charge_for_private_reads_is_signed(
    fedgan: Callable, refused: Callable, contents: Callable, config: Path, tiny: list[str], tmp_path: Path, key: Path
) -> None:
    run = tmp_path / "run"
    room = ["--set", "privacy.evaluation_epsilon=2"]
    assert fedgan("simulate", config, *tiny, *room, "--output", run, "--sign-key", key, "--quiet").code == 0
    before = contents(run)
    assert "is signed: it goes on only with the key" in refused("evaluate", run, "--private-reads", 2)
    assert contents(run) == before
    assert fedgan("evaluate", run, "--private-reads", 2, "--sign-key", key).code == 0
    document = json.loads(fedgan("audit", "verify", run, "--json").out)
    assert [signature["line"] for signature in document["signed"]] == [5, 5, 5]
