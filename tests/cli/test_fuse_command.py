"""`fedgan fuse`: one generator of several, whose budget is that of all its parts, and that every command takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fedgan.audit.budget import audit_budget
from fedgan.cli.app import main
from fedgan.federation.fusion import _public_data
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.ledger_line import FIRST, encode, seal

Fedgan = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def another(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> Path:
    """A second finished run over the same records, of another size and seed; not to be changed."""
    return trained(tmp_path_factory, config, tiny, "seed=1", "model.latent_dim=8", "model.width=32")


@pytest.fixture(scope="session")
def unprotected(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> Path:
    """A finished run at level "none"; not to be changed."""
    return trained(tmp_path_factory, config, tiny, "privacy.level='none'", "federation.rounds=1")


def trained(factory: pytest.TempPathFactory, config: Path, tiny: list[str], *settings: str) -> Path:
    folder = factory.mktemp("runs") / "run"
    options = [word for setting in settings for word in ("--set", setting)]
    with pytest.raises(SystemExit) as exit_of:
        main(["simulate", str(config), *tiny, *options, "--output", str(folder), "--quiet"])
    assert exit_of.value.code == 0
    return folder


@pytest.fixture(scope="session")
def fused_once(tmp_path_factory: pytest.TempPathFactory, run: Path, another: Path) -> Path:
    """Both runs fused, two to one; not to be changed."""
    folder = tmp_path_factory.mktemp("fused") / "fused"
    with pytest.raises(SystemExit) as exit_of:
        main(["fuse", str(run), str(another), "--output", str(folder), "--weights", "2,1"])
    assert exit_of.value.code == 0
    return folder


@pytest.fixture
def fused(fused_once: Path, tmp_path: Path) -> Path:
    """A copy of the fused generator that a test may change."""
    return Path(shutil.copytree(fused_once, tmp_path / "fused"))


def card_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "generator.json").read_text()))


def reseal(folder: Path, **changes: Any) -> None:
    card = card_of(folder) | changes
    (folder / "generator.json").write_text(json.dumps(seal({k: v for k, v in card.items() if k != "hash"})))


# Budgets


@pytest.mark.privacy
def test_runs_that_may_divide_records_differently_add_up(
    fedgan: Fedgan, fused_once: Path, run: Path, another: Path
) -> None:
    """A person may be with the dearest client of either run, and each ledger salts its commitment."""
    card = card_of(fused_once)
    together = audit_budget([run, another])
    alone = [audit_budget([each]).epsilon for each in (run, another)]
    assert card["epsilon"] == audit_budget([fused_once]).epsilon == audit_budget([run, another], overlap="runs").epsilon
    assert card["epsilon"] == sum(alone) > together.epsilon
    assert (card["overlap"], card["neighbours"]) == ("runs", "add or remove one record of one client of each run")
    assert (card["level"], card["trust"], card["delta"], card["accountant"]) == ("record", "local", 2e-4, "pld")
    assert card["ledger_heads"] == {client.client: client.head for client in together.clients}
    printed = json.loads(fedgan("audit", "budget", fused_once, "--json").out)
    assert printed["epsilon"] == card["epsilon"]
    overlapping = json.loads(fedgan("audit", "budget", fused_once, "--overlap", "sum", "--json").out)
    assert overlapping["epsilon"] == audit_budget([run, another], overlap="sum").epsilon > card["epsilon"]


def of_other_clients(run: Path, target: Path) -> Path:
    """Return a copy of `run` whose ledgers are those of other clients, with other records."""
    shutil.copytree(run, target)
    shutil.rmtree(target / "checkpoints")
    heads = {}
    for lock in (target / "ledgers").glob("*.lock"):
        lock.unlink()
    for path in sorted((target / "ledgers").glob("*.jsonl")):
        rows = [dict(line.row) for line in read_ledger(path)]
        client, previous, lines = f"x{rows[0]['client']}", FIRST, []
        for row in rows:
            bare = {key: value for key, value in row.items() if key != "hash"}
            row = seal(bare | {"client": client, "previous": previous})
            previous = row["hash"]
            lines.append(encode(row))
        path.unlink()
        (path.parent / f"client-{client}.jsonl").write_bytes(b"".join(lines))
        heads[client] = previous
    card = card_of(target) | {"ledger_heads": heads}
    (target / "generator.json").write_text(json.dumps(card))
    return target


@pytest.mark.privacy
def test_clients_of_other_names_are_not_taken_for_other_people(
    fedgan: Fedgan, run: Path, another: Path, tmp_path: Path
) -> None:
    others = of_other_clients(another, tmp_path / "others")
    # The copy still carries the commitments of `another`: other records have others, so `run` is the first part.
    assert fedgan("fuse", run, others, "--output", tmp_path / "fused").code == 0
    card = card_of(tmp_path / "fused")
    assert card["epsilon"] == sum(audit_budget([each]).epsilon for each in (run, others))
    assert len(card["ledger_heads"]) == 6
    assert fedgan("audit", "verify", tmp_path / "fused").code == 0


@pytest.mark.privacy
def test_the_same_commitment_composes_whatever_the_names(
    fedgan: Fedgan, another: Path, run: Path, tmp_path: Path
) -> None:
    """The same ledgers under other names count as spent twice on the same records, not as other clients."""
    others = of_other_clients(another, tmp_path / "others")
    assert fedgan("fuse", another, others, "--output", tmp_path / "fused").code == 0
    card = card_of(tmp_path / "fused")
    assert card["epsilon"] == audit_budget([another, others]).epsilon > 1.2 * audit_budget([another]).epsilon
    assert fedgan("audit", "verify", tmp_path / "fused").code == 0


@pytest.mark.privacy
def test_a_part_without_privacy_leaves_none(
    fedgan: Fedgan, refused: Refused, run: Path, unprotected: Path, tmp_path: Path
) -> None:
    result = fedgan("fuse", run, unprotected, "--output", tmp_path / "fused")
    assert "no privacy: a part of it promises none\n" in result.out
    card = card_of(tmp_path / "fused")
    assert (card["level"], card["epsilon"], card["delta"], card["ledger_heads"]) == ("none", None, None, {})
    assert fedgan("audit", "verify", tmp_path / "fused").code == 0
    assert "parts/00001 holds no ledger" in refused("audit", "budget", tmp_path / "fused")
    reseal(tmp_path / "fused", level="record", epsilon=1.0)
    assert first_fault(tmp_path / "fused").endswith("it makes a promise, and a part of it makes none")


def test_the_card_names_every_public_data_set_once() -> None:
    digits, mnist = {"name": "digits", "steps": 10}, {"name": "mnist", "steps": 10}
    cards: list[dict[str, Any]] = [{"public_data": digits}, {}, {"public_data": mnist}, {"public_data": digits}]
    assert _public_data(cards) == [digits, mnist]
    assert _public_data([{"public_data": None}, {}]) is None


# Weights, and what is drawn


def test_weights_are_shares(fused_once: Path, fedgan: Fedgan, run: Path, another: Path, tmp_path: Path) -> None:
    assert [part["weight"] for part in card_of(fused_once)["parts"]] == [2 / 3, 1 / 3]
    printed = json.loads(fedgan("fuse", run, another, "--output", tmp_path / "equal", "--json").out)
    assert [part["weight"] for part in printed["parts"]] == [0.5, 0.5]
    assert (printed["run"], printed["level"]) == (str(tmp_path / "equal"), "record")


def test_weights_by_the_public_numbers_of_records(
    fedgan: Fedgan, refused: Refused, run: Path, another: Path, unprotected: Path, tmp_path: Path
) -> None:
    fewer = of_other_clients(another, tmp_path / "fewer")
    (fewer / "ledgers" / "client-x00000.jsonl").unlink()
    card = card_of(fewer)
    del card["ledger_heads"]["x00000"]
    (fewer / "generator.json").write_text(json.dumps(card))
    assert fedgan("fuse", run, fewer, "--output", tmp_path / "fused", "--weights", "records").code == 0
    weights = [part["weight"] for part in card_of(tmp_path / "fused")["parts"]]
    assert weights == pytest.approx([3 / 5, 2 / 5])
    line = refused("fuse", run, unprotected, "--output", tmp_path / "other", "--weights", "records")
    assert line.startswith(f"--weights records: {unprotected} holds no ledger")


@pytest.mark.parametrize("weights", ["", "1", "1,2,3", "1,-1", "0,1", "nan,1", "inf,1", "1,1e-9", "equal", "1;2"])
def test_other_weights_are_refused(refused: Refused, run: Path, another: Path, tmp_path: Path, weights: str) -> None:
    line = refused("fuse", run, another, "--output", tmp_path / "fused", "--weights", weights)
    assert line.startswith(f"--weights = {weights!r} is not accepted: give 'uniform', 'records', or a number")
    assert not (tmp_path / "fused").exists()


def test_images_come_from_the_parts(fedgan: Fedgan, fused_once: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert (
            fedgan("generate", fused_once, "--count", 30, "--labels", "3", "--output", tmp_path / f"{name}.npz").code
            == 0
        )
    with np.load(tmp_path / "a.npz") as first, np.load(tmp_path / "b.npz") as second:
        assert first["images"].shape == (30, 1, 8, 8)
        assert np.array_equal(first["images"], second["images"])
        assert first["images"].std(axis=0).max() > 0.01


def test_every_command_takes_it(fedgan: Fedgan, fused: Path, tmp_path: Path) -> None:
    found = json.loads(fedgan("evaluate", fused, "--json").out)
    assert 0 <= found["metrics"]["logistic_regression"] <= 1
    explained = fedgan("explain", fused, "--labels", "1", "--output", tmp_path / "e.png")
    assert "logits of the parts' discriminators (weighted mean), each after round 2 or later" in explained.out
    assert fedgan("audit", "statement", fused, "--output", tmp_path / "s.html").code == 0
    assert fedgan("audit", "verify", fused, "--json").code == 0


def test_the_runs_are_not_changed(fedgan: Fedgan, contents: Callable, run: Path, another: Path, tmp_path: Path) -> None:
    before = contents(run), contents(another)
    fedgan("fuse", run, another, "--output", tmp_path / "fused")
    assert (contents(run), contents(another)) == before
    assert [path.name for path in tmp_path.iterdir()] == ["fused"]  # no draft stays


# Tampering


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def swap_tensor(folder: Path) -> None:
    """Another generator, with a digest and a seal that fit it."""
    from hashlib import sha256

    weights = folder / "generator.safetensors"
    tensors = load_file(weights)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] + 1}, weights)
    reseal(folder, sha256=sha256(weights.read_bytes()).hexdigest())


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "fused weights": (lambda fused: flip(fused / "generator.safetensors"), "generator.safetensors: its SHA-256"),
    "part's weights": (lambda fused: flip(fused / "parts/00001/generator.safetensors"), "its SHA-256"),
    "another generator": (swap_tensor, "is not the tensor of its part"),
    "a lower epsilon": (lambda fused: reseal(fused, epsilon=1.0), "it claims epsilon 1, the ledgers of its parts say"),
    "another level": (lambda fused: reseal(fused, level="client"), "it claims level 'client'"),
    "no head": (lambda fused: reseal(fused, ledger_heads={}), "its ledger_heads are not the last lines"),
    "a card changed and not sealed": (
        lambda fused: (fused / "generator.json").write_text(json.dumps(card_of(fused) | {"epsilon": 1.0})),
        "generator.json: damaged: its hash does not match its content",
    ),
    "a ledger cut": (lambda fused: cut(fused / "parts/00000/ledgers/client-00001.jsonl"), "client-00001.jsonl"),
    "a ledger gone": (lambda fused: (fused / "parts/00001/ledgers/client-00002.jsonl").unlink(), "client '00002'"),
    "a part gone": (lambda fused: shutil.rmtree(fused / "parts/00001"), "it names parts/00001, which is gone"),
    "a part added": (
        lambda fused: shutil.copytree(fused / "parts/00001", fused / "parts/00002"),
        "it does not name parts/00002, which is there",
    ),
    "a part's card": (
        lambda fused: (fused / "parts/00001/generator.json").write_text(
            json.dumps(card_of(fused / "parts/00001") | {"rounds": 99})
        ),
        "the card of parts/00001 is not the one that it holds a copy of",
    ),
    "a checkpoint": (lambda fused: flip(fused / "parts/00000/checkpoints/round-00002.safetensors"), "its SHA-256"),
}


@pytest.mark.privacy
@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found(fused: Path, name: str) -> None:
    tamper, words = TAMPERINGS[name]
    tamper(fused)
    assert words in first_fault(fused)


def first_fault(folder: Path) -> str:
    from fedgan.audit.verify import verify

    report = verify([folder])
    assert not report.intact
    return str(report.faults[0])


def test_a_fault_is_one_line_and_exit_code_4(fedgan: Fedgan, refused: Refused, fused: Path) -> None:
    flip(fused / "generator.safetensors")
    result = fedgan("audit", "verify", fused)
    assert result.code == 4
    assert len(result.err.splitlines()) == 1 and "generator.safetensors: its SHA-256 is not the" in result.err
    assert "its SHA-256 is not the" in refused("generate", fused, "--count", 1, "--output", "never.png", code=4)


def test_an_unsealed_card_makes_no_images(refused: Refused, fused: Path) -> None:
    (fused / "generator.json").write_text(json.dumps(card_of(fused) | {"epsilon": 1.0}))
    line = refused("generate", fused, "--count", 1, "--output", "never.png", code=4)
    assert line == f"{fused / 'generator.json'}: damaged: its hash does not match its content"


@pytest.mark.privacy
def test_a_damaged_run_is_not_fused(refused: Refused, run_copy: Path, another: Path, tmp_path: Path) -> None:
    cut(run_copy / "ledgers" / "client-00001.jsonl")
    line = refused("fuse", run_copy, another, "--output", tmp_path / "fused", code=4)
    assert "client-00001.jsonl" in line
    assert not (tmp_path / "fused").exists()


# Refused


def test_parts_must_be_alike(
    refused: Refused,
    run: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    config: Path,
    tiny: list[str],
) -> None:
    large = trained(tmp_path_factory, config, tiny, "data.image_size=16", "privacy.level='none'", "federation.rounds=0")
    line = refused("fuse", run, large, "--output", tmp_path / "fused")
    assert line == (
        f"{large}: its images are (C, H, W) = (1, 16, 16) of 10 classes, those of {run} (1, 8, 8) of 10 classes: "
        "parts of one generator have to be alike"
    )


def test_what_cannot_be_fused_is_refused(refused: Refused, run: Path, fused_once: Path, tmp_path: Path) -> None:
    output = tmp_path / "fused"
    for runs in ([run], [run, run], [run, run / ".." / run.name]):
        assert refused("fuse", *runs, "--output", output) == "RUN...: give at least two runs, each of them once"
    assert "holds a fused generator: name the runs" in refused("fuse", run, fused_once, "--output", output)
    assert "holds no run" in refused("fuse", run, tmp_path, "--output", output)
    (tmp_path / "begun").mkdir()
    shutil.copy(run / "config.toml", tmp_path / "begun")
    assert "holds no finished run" in refused("fuse", run, tmp_path / "begun", "--output", output)
    assert not output.exists()


def test_a_place_in_use_is_left_alone(refused: Refused, run: Path, another: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for name in ("file", "full"):
        line = refused("fuse", run, another, "--output", tmp_path / name)
        assert line == f"--output {tmp_path / name}: there is something already; give a folder that is new or empty"
    assert "cannot write there" in refused("fuse", run, another, "--output", tmp_path / "file" / "below")
    assert (tmp_path / "full" / "mine").read_text() == "mine"


def test_there_is_no_run_to_go_on_with_to_attack_or_to_compare_with(refused: Refused, fused: Path) -> None:
    private = ["evaluate", fused, "--private-reads", "1"]
    for command in (["simulate", "--resume", "--output", fused], ["audit", "attack", fused], private):
        assert refused(*command) == f"{fused} holds a fused generator: name the runs that it was made of"
