"""A signed ledger cannot be rewritten by whoever lacks the key, and never goes on unsigned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from fedgan.audit.verify import verify
from fedgan.errors import FedganError, IntegrityError, UsageError
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger
from fedgan.privacy.ledger_line import FIRST, encode, seal
from fedgan.privacy.signature import load_private_key, load_public_key, sign

pytestmark = pytest.mark.privacy

PRIVATE, PUBLIC = serialization.PrivateFormat, serialization.PublicFormat
ENCODING = serialization.Encoding
NO_SECRET = serialization.NoEncryption()
OWNER: dict[str, Any] = {"client": "00000", "dataset": b"digest", "records": 100}
KEY = ec.generate_private_key(ec.SECP384R1())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client-00000.jsonl"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    file = tmp_path / "key.pub"
    file.write_bytes(KEY.public_key().public_bytes(ENCODING.OpenSSH, PUBLIC.OpenSSH) + b" node@site\n")
    return file


def fill(path: Path, charges: int, key: Any = KEY, **owner: Any) -> None:
    with Ledger.open(path, **OWNER | owner, key=key) as ledger:
        for number in range(charges):
            ledger.charge(Gaussian(2.0), run="r", round=number, clip=1.0, noise_std=2.0, delta=1e-5)


def forge(path: Path) -> None:
    """Halve what the first charge says was spent, with every hash made to fit."""
    lines, previous = [], FIRST
    for line in path.read_text().splitlines():
        row = {name: value for name, value in json.loads(line).items() if name != "hash"}
        if row["sequence"] == 1:
            row |= {"event": Gaussian(4.0).to_dict(), "noise_std": 4.0}
        sealed = seal(row | {"previous": previous})
        previous = sealed["hash"]
        lines.append(encode(sealed))
    path.write_bytes(b"".join(lines))


def faults(path: Path, public: Path | None = None) -> list[str]:
    found = verify([path], public_key=public).faults
    assert all(fault.path == path for fault in found)
    return [fault.what for fault in found]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
@pytest.mark.parametrize("form", ["OpenSSH", "PKCS8", "TraditionalOpenSSL"])
def test_keys_of_supernodes_sign(tmp_path: Path, path: Path, curve: ec.EllipticCurve, form: str) -> None:
    key = ec.generate_private_key(curve)
    (tmp_path / "key").write_bytes(key.private_bytes(ENCODING.PEM, getattr(PRIVATE, form), NO_SECRET))
    (tmp_path / "key.pem").write_bytes(key.public_key().public_bytes(ENCODING.PEM, PUBLIC.SubjectPublicKeyInfo))
    fill(path, 2, load_private_key(tmp_path / "key"))
    report = verify([path], public_key=tmp_path / "key.pem")
    assert (report.faults, report.warnings) == ((), ())
    assert [(signature["client"], signature["line"]) for signature in report.signed] == [("00000", 3)]
    assert report.signed[0]["public_key"].startswith(f"ecdsa-sha2-nistp{curve.key_size} ")


def test_every_line_is_signed_before_its_charge_is_used(path: Path, public: Path) -> None:
    with Ledger.open(path, **OWNER, key=KEY) as ledger:
        for number in range(3):
            assert faults(path, public) == []
            head = ledger.charge(Gaussian(2.0), run="r", round=number, clip=1.0, noise_std=2.0, delta=1e-5)
            signature = json.loads(path.with_suffix(".sig").read_text())
            assert (signature["head"], signature["sequence"]) == (head, number + 1)


def test_what_cannot_be_signed_is_not_used(path: Path, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with Ledger.open(path, **OWNER, key=KEY) as ledger, monkeypatch.context() as patch:
        patch.setattr("fedgan.privacy.signature.write_bytes", fail)
        with pytest.raises(FedganError, match="nothing is computed: No space left on device"):
            ledger.charge(Gaussian(2.0), run="r", round=1, clip=1.0, noise_std=2.0, delta=1e-5)
    assert faults(path, public) == [
        "it is not signed: the signature is under an earlier line, as a crash leaves it until the next charge"
    ]
    assert [warning.line for warning in verify([path]).warnings] == [2]
    Ledger.open(path, **OWNER, key=KEY).close()  # which signs what it recovers
    assert faults(path, public) == []


def test_a_rewritten_ledger_is_found(path: Path, public: Path) -> None:
    fill(path, 3)
    forge(path)
    expected = ["lines were changed or cut: line 4, which is signed in client-00000.sig, is gone"]
    assert faults(path, public) == faults(path) == expected
    path.with_suffix(".sig").unlink()
    assert faults(path) == []  # the chain itself holds
    assert faults(path, public) == ["it is not signed: there is no client-00000.sig beside it"]
    sign(path, Ledger.open(path, **OWNER).lines[-1], ec.generate_private_key(ec.SECP384R1()))
    assert faults(path) == []
    assert faults(path, public) == ["client-00000.sig was signed with another key than that of --public-key"]


def test_a_ledger_that_was_cut_is_found(path: Path, public: Path) -> None:
    fill(path, 3)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert faults(path, public) == faults(path) != []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client", "00001"),
        ("dataset", "0" * 64),
        ("sequence", 1),
        ("head", "0" * 64),
        ("signature", "00" * 70),
        ("signature", "x"),
        ("signature", 0),
        ("public_key", "ecdsa-sha2-nistp384 AAAA"),
        ("public_key", ""),
        ("more", ""),
    ],
)
def test_an_edited_signature_is_found(path: Path, public: Path, name: str, value: Any) -> None:
    fill(path, 2)
    file = path.with_suffix(".sig")
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    for key in (public, None):
        (what,) = faults(path, key)
        assert what.startswith("client-00000.sig is damaged: ")


def test_a_signature_is_not_another_ledgers(path: Path, public: Path, tmp_path: Path) -> None:
    other = tmp_path / "client-00001.jsonl"
    fill(path, 2)
    fill(other, 2, client="00001")
    path.with_suffix(".sig").write_bytes(other.with_suffix(".sig").read_bytes())
    assert faults(path, public) == ["client-00000.sig is the signature of another ledger, of client '00001'"]


def test_a_signed_ledger_goes_on_with_its_key_alone(path: Path, public: Path) -> None:
    fill(path, 1)
    for key in (None, ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(UsageError, match=r"client-00000\.jsonl is signed"):
            Ledger.open(path, **OWNER, key=key)
    fill(path, 1)
    assert faults(path, public) == []
    forge(path)
    with pytest.raises(IntegrityError, match=r"client-00000\.jsonl: line 3 is not the one that was signed"):
        Ledger.open(path, **OWNER, key=KEY)  # what was changed is never signed anew


def test_a_torn_signed_ledger_is_recovered_with_its_key_alone(path: Path, public: Path) -> None:
    fill(path, 1)
    torn = path.read_bytes() + b'{"version":1,'
    path.write_bytes(torn)
    with pytest.raises(UsageError, match=r"client-00000\.jsonl is signed"):
        Ledger.open(path, **OWNER)
    assert path.read_bytes() == torn
    Ledger.open(path, **OWNER, key=KEY).close()
    assert faults(path, public) == []


def test_signing_can_begin_later(path: Path, public: Path) -> None:
    fill(path, 1, None)
    assert not path.with_suffix(".sig").exists()
    fill(path, 1)
    assert faults(path, public) == []


SECRET = serialization.BestAvailableEncryption(b"secret")
BAD_PRIVATE = {
    "passphrase": KEY.private_bytes(ENCODING.PEM, PRIVATE.PKCS8, SECRET),
    "ed25519": ed25519.Ed25519PrivateKey.generate().private_bytes(ENCODING.PEM, PRIVATE.OpenSSH, NO_SECRET),
    "curve": ec.generate_private_key(ec.SECP521R1()).private_bytes(ENCODING.PEM, PRIVATE.PKCS8, NO_SECRET),
    "public": KEY.public_key().public_bytes(ENCODING.OpenSSH, PUBLIC.OpenSSH),
    "empty": b"",
    "bytes": b"\xff\x00",
}


@pytest.mark.parametrize("content", BAD_PRIVATE.values(), ids=BAD_PRIVATE)
def test_other_keys_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UsageError, match=r"--sign-key = .* is not accepted: give a private EC key"):
        load_private_key(tmp_path / "key")
    if content != BAD_PRIVATE["public"]:
        with pytest.raises(UsageError, match=r"--public-key = .* is not accepted: give a public EC key"):
            load_public_key(tmp_path / "key")


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_a_key_that_cannot_be_read(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    for name in ("none", "."):
        with pytest.raises(UsageError, match=r"key .*: cannot be read: (No such file|Is a directory)"):
            load(tmp_path / name)
