"""Disks that refuse: one clear line, nothing half-written, and nothing computed that is not charged."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedgan import files
from fedgan.audit.verify import verify
from fedgan.cli.app import main
from fedgan.config import Config, to_toml
from fedgan.data.dataset import ImageDataset
from fedgan.errors import FedganError, UsageError
from fedgan.federation import vault
from fedgan.federation.requests import EmbedRequest
from fedgan.federation.simulation import Outcome
from fedgan.federation.vault import Vault
from fedgan.privacy import ledger as ledgers
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.runs import RunFolder

pytestmark = pytest.mark.privacy

MakeVault = Callable[..., Vault]
MakeConfig = Callable[..., Config]
REQUEST = EmbedRequest(run="run-1", features=8, feature_seed=1)
CHARGE: dict[str, Any] = {"run": "r", "clip": 1.0, "noise_std": 2.0, "delta": 1e-5}


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB where the vault's ledgers lie."""
    folder = tmp_path / "ledgers"
    folder.mkdir()
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)):
        pytest.skip("a small disk is mounted, which takes the rights of root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(disk: Path, *, but: int = 0) -> None:
    """Leave `but` bytes of the disk, rounded to its blocks of 4 KiB."""
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - but))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was computed from records."""
    seen: list[str] = []
    embed = vault.embed
    monkeypatch.setattr(vault, "embed", lambda *arguments: (seen.append("embed"), embed(*arguments))[1])
    return seen


def test_a_full_disk_takes_no_charge(make_vault: MakeVault, disk: Path, computed: list[str]) -> None:
    path = disk / "client-00000.jsonl"
    site = make_vault()
    site.repair_ledger()
    fill_up(disk)
    with Ledger.open(path, client="00000", dataset=site._digest, records=48) as ledger:
        charged = 0
        with pytest.raises(FedganError, match=r"client-00000\.jsonl: cannot be written, .*: No space left"):
            while True:  # until the line does not fit into the file's last block
                ledger.charge(Gaussian(50.0), round=0, **CHARGE)
                charged += 1
    lines = read_ledger(path)  # nothing is torn
    assert (len(lines), charged > 0) == (1 + charged, True)
    with pytest.raises(FedganError, match="No space left"):
        site.embed(REQUEST)
    assert (computed, len(read_ledger(path))) == ([], len(lines))
    (disk / "ballast").unlink()
    site.embed(REQUEST)
    assert (computed, len(read_ledger(path))) == (["embed"], len(lines) + 1)


def test_a_full_disk_begins_no_ledger(make_vault: MakeVault, disk: Path, computed: list[str]) -> None:
    fill_up(disk)
    with pytest.raises(FedganError, match=r"client-00000\.jsonl: cannot be written, .*: No space left"):
        make_vault().embed(REQUEST)
    assert (computed, list(disk.glob("*.jsonl"))) == ([], [])
    (disk / "ballast").unlink()
    make_vault().embed(REQUEST)
    assert len(read_ledger(disk / "client-00000.jsonl")) == 2


def test_a_read_only_disk_takes_no_charge(make_vault: MakeVault, disk: Path, computed: list[str]) -> None:
    path = disk / "client-00000.jsonl"
    make_vault().repair_ledger()
    before = path.read_bytes()
    assert mount("-o", "remount,ro", str(disk))
    with pytest.raises(FedganError, match=r"client-00000\.jsonl: cannot be written, .*: Read-only file system"):
        make_vault().embed(REQUEST)
    assert (computed, path.read_bytes()) == ([], before)


def test_two_writers_are_kept_apart(
    make_vault: MakeVault, tmp_path: Path, records: ImageDataset, computed: list[str]
) -> None:
    path, site = tmp_path / "ledgers" / "client-00000.jsonl", make_vault()
    site.repair_ledger()
    with (
        Ledger.open(path, client="00000", dataset=site._digest, records=48),
        pytest.raises(UsageError, match="one writer at a time"),
    ):
        site.embed(REQUEST)
    assert (computed, len(read_ledger(path))) == ([], 1)


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_part_of_a_line_is_taken_back(
    make_vault: MakeVault, tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As on a disk that fails within a line, whoever runs the tests."""
    write_all = ledgers.write_all

    def half(descriptor: int, content: bytes) -> None:
        write_all(descriptor, content[: len(content) // 2])
        raise OSError(code, "refused")

    path, site = tmp_path / "ledgers" / "client-00000.jsonl", make_vault()
    site.repair_ledger()
    before = path.read_bytes()
    monkeypatch.setattr(ledgers, "write_all", half)
    with pytest.raises(FedganError, match="cannot be written, so nothing is computed: refused"):
        site.embed(REQUEST)
    assert (computed, path.read_bytes()) == ([], before)


def test_a_run_on_a_read_only_disk_is_one_line(
    tiny_config: MakeConfig, tmp_path: Path, disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(to_toml(tiny_config(f"privacy.ledgers='{disk}'")))
    assert mount("-o", "remount,ro", str(disk))
    for arguments in (
        ["--output", str(disk / "run"), "--set", "privacy.ledgers=''"],
        ["--output", str(tmp_path / "run")],
    ):
        with pytest.raises(SystemExit) as exit_of:
            main(["simulate", str(tmp_path / "run.toml"), *arguments, "--quiet"])
        lines = capfd.readouterr().err.splitlines()
        assert (exit_of.value.code, len(lines)) == (2, 1)
        assert "Read-only file system" in lines[0]
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_when_a_full_disk_has_room_again(
    tiny_config: MakeConfig, run: Callable[..., Outcome], tmp_path: Path, disk: Path
) -> None:
    config = tiny_config(f"privacy.ledgers='{disk}'")
    fill_up(disk)
    with pytest.raises(FedganError):
        run(config, tmp_path / "run")
    assert list(disk.glob("*.jsonl")) == []
    assert list(tmp_path.glob("run/*.safetensors")) == []
    (disk / "ballast").unlink()
    assert run(config, tmp_path / "run", resume=True).stopped == ""
    assert verify([tmp_path / "run"]).intact


def test_a_disk_that_fills_up_under_a_run_is_one_line(
    tiny_config: MakeConfig, tmp_path: Path, disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The disk has room for the ledgers and not for the first checkpoint: the run never begins to train."""
    (tmp_path / "run.toml").write_text(to_toml(tiny_config()))
    fill_up(disk, but=16 * 1024)
    with pytest.raises(SystemExit) as exit_of:
        main(["simulate", str(tmp_path / "run.toml"), "--output", str(disk / "run"), "--quiet"])
    lines = capfd.readouterr().err.splitlines()
    assert (exit_of.value.code, len(lines)) == (1, 1)
    assert "No space left on device" in lines[0]
    assert list((disk / "run").rglob("*.safetensors")) == list((disk / "run").rglob(".*")) == []
    (disk / "ballast").unlink()
    assert mount("-o", "remount,size=8m", str(disk))
    with pytest.raises(SystemExit) as exit_of:
        main(["simulate", "--resume", "--output", str(disk / "run"), "--quiet"])
    assert exit_of.value.code == 0
    assert verify([disk / "run"]).intact


@pytest.mark.parametrize(
    "name",
    [
        "checkpoints/round-00002.safetensors",
        "checkpoints/round-00002.json",
        "samples/round-00002.png",
        "metrics.jsonl",
        "generator.safetensors",
        "generator.json",
        "evaluation.json",
    ],
)
def test_a_disk_that_fills_up_at_any_file_of_a_run_names_it(
    tiny_config: MakeConfig,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Half of the content is written when the disk is full: none of it stays, and the run goes on from before."""
    (tmp_path / "run.toml").write_text(to_toml(tiny_config("evaluation.metrics=logistic_regression")))
    run, write_all = tmp_path / "run", files.write_all
    target = run / name

    def full(descriptor: int, content: bytes) -> None:
        written = Path(f"/proc/self/fd/{descriptor}").readlink()
        second_line = written == target and target.stat().st_size > 0
        if second_line or (name != "metrics.jsonl" and written.name.startswith(f".{target.name}.")):
            write_all(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        with pytest.raises(SystemExit) as exit_of:
            main(["simulate", str(tmp_path / "run.toml"), "--output", str(run), "--quiet"])
    line = f"fedgan: {target}: cannot be written: No space left on device\n"
    assert (exit_of.value.code, capfd.readouterr().err) == (1, line)
    if name == "metrics.jsonl":
        assert target.read_bytes().endswith(b"}\n")
    else:
        assert not target.exists()
    assert list(run.rglob(".*")) == []
    assert verify([run]).intact
    with pytest.raises(SystemExit) as exit_of:
        main(["simulate", "--resume", "--output", str(run), "--quiet"])
    assert exit_of.value.code == 0
    assert target.exists() == (name != "samples/round-00002.png")  # of rounds that are done no picture is drawn again
    assert verify([run]).intact
    rounds = [row["round"] for row in RunFolder(run).read_metrics()]
    assert rounds == [0, 1, 2, 3]
