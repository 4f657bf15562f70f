"""`fedgan audit attack`: bounds beside the claim, red and exit 3 where one passes it, and nothing published."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fedgan.audit.attack.guesses import guess
from fedgan.audit.attack.one_run import one_run_bound
from fedgan.cli.app import main

pytestmark = pytest.mark.privacy

QUICK = [
    word
    for item in ("training.warm_start=none", "model.width=16", "privacy.accountant=rdp")
    for word in ("--set", item)
]


@pytest.fixture
def attack(fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path) -> Callable:
    def run(*arguments: object) -> object:
        return fedgan("audit", "attack", config, *tiny, *QUICK, "--output", tmp_path / "audit", *arguments)

    return run


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, config: Path, tiny: list[str]) -> tuple[Path, dict[str, Any]]:
    """The folder of a sound run's audit and the JSON that it printed; not to be changed."""
    folder = tmp_path_factory.mktemp("audits") / "audit"
    printed = StringIO()
    options = ["--canaries", "200", "--images", "9", "--members", "10", "--seed", "11", "--json"]
    with redirect_stdout(printed), pytest.raises(SystemExit) as exit_of:
        main(["audit", "attack", str(config), *tiny, *QUICK, *options, "--output", str(folder),
              "--plot", str(folder.parent / "picture.png")])  # fmt: skip
    assert exit_of.value.code == 0
    return folder, json.loads(printed.getvalue())


def test_noise_off_is_red_against_a_claim_of_one(
    attack: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 100 steps has 1 in 7 of the canaries: one is in none in 1 of 3,000 runs, and 3.6 is proven even then."""
    off = ["--set", "privacy.level=none", "--set", "federation.rounds=20", "--set", "federation.local_steps=5"]
    said = StringIO()
    monkeypatch.setattr("fedgan.cli.attack.stderr", Console(file=said, force_terminal=True, highlight=False, width=200))
    result = attack(*off, "--claim", "1", "--images", "0", "--members", "0")
    assert result.code == 3
    alarm = said.getvalue().splitlines()[-1]
    assert "\x1b[1;31mfedgan: PRIVACY VIOLATED: the gradient attack proves epsilon >= " in alarm  # bold red
    assert "1.000 is claimed" in alarm
    document = json.loads((tmp_path / "audit" / "attack.json").read_text())
    assert document["exceeded"] is True
    assert sorted(path.name for path in tmp_path.joinpath("audit").iterdir()) == ["attack.json"]
    one_run = document["attacks"][0]["bounds"][0]
    assert one_run["method"] == "one_run"
    assert 3 < one_run["epsilon"] < 7


def test_a_sound_run_is_below_its_claim(audited: tuple[Path, dict[str, Any]]) -> None:
    folder, document = audited
    assert document["exceeded"] is False
    assert document["audit"] == "attack"
    assert document["level"] == "record"
    assert document["confidence"] == 0.95
    assert document["delta"] == 1e-4
    assert len(document["clients"]) == 1
    assert [one["attack"] for one in document["attacks"]] == ["gradient", "input", "distance", "density"]
    for one in document["attacks"]:
        assert 9.5 < one["claimed_epsilon"] <= 10  # without a warm start the steps are all there is
        assert [bound["method"] for bound in one["bounds"]] == ["one_run", "one_run_f_dp", "clopper_pearson"]
        assert all(0 <= bound["epsilon"] < one["claimed_epsilon"] for bound in one["bounds"])
        assert 0 <= one["auc"] <= 1
    assert {path.name for path in folder.iterdir()} == {"attack.json", "ledgers"}
    assert (folder.parent / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_can_be_recomputed_from_its_coins_and_scores(audited: tuple[Path, dict[str, Any]]) -> None:
    folder, document = audited
    kept = json.loads((folder / "attack.json").read_text())
    assert {key: kept[key] for key in document} == document
    assert document["seed"] == 11
    for one, share in zip(document["attacks"], (1 / 2, 1 / 6, 1 / 6, 1 / 6), strict=True):
        canaries = kept["canaries"][one["attack"]]
        guesses = guess(np.array(canaries["scores"]), np.array(canaries["included"]))
        bound = one["bounds"][0]
        assert (bound["guesses"], bound["correct"]) == (guesses.guessed, guesses.correct)
        expected = one_run_bound(guesses, delta=1e-4, significance=0.05 * share / 2)
        assert bound["epsilon"] == pytest.approx(expected, abs=1e-5)


def test_the_audits_ledgers_are_audited_like_any(fedgan: Callable, audited: tuple[Path, dict[str, Any]]) -> None:
    report = json.loads(fedgan("audit", "budget", audited[0], "--json").out)
    assert sorted(client["records"] for client in report["clients"]) == [479, 479, 688]


def test_the_audits_folder_holds_no_run(
    refused: Callable, audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = audited
    assert "holds no run" in refused("generate", folder, "--count", "1", "--output", tmp_path / "x.png", code=2)
    assert "holds no run" in refused("simulate", "--resume", "--output", folder, code=2)


def test_the_table_has_a_row_a_bound(attack: Callable) -> None:
    result = attack("--canaries", "40", "--images", "0", "--members", "10", "--set", "federation.rounds=1")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    for name in ("gradient", "distance", "density"):
        assert sum(name in line and "95%" in line for line in lines) == 3
    assert "false alarms" in result.out
    assert "A bound far below the claim is no proof of privacy." in result.out


def test_a_run_is_repeated_with_its_own_configuration_and_left_alone(
    fedgan: Callable, run: Path, tmp_path: Path, contents: Callable
) -> None:
    before = contents(run)
    result = fedgan(
        "audit", "attack", run, "--output", tmp_path / "audit", "--canaries", "60", "--images", "0", "--members", "0"
    )
    assert result.code == 0
    assert contents(run) == before
    kept = json.loads((tmp_path / "audit" / "attack.json").read_text())
    assert kept["config"]["federation"]["rounds"] == 2
    assert kept["config"]["training"]["warm_start"] == "mean_embedding"
    assert not list((tmp_path / "audit").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--canaries", "-1"], "--canaries = -1 is not accepted: give 0 or more"),
        (["--canaries", "0", "--images", "0", "--members", "0"], "there is nothing to attack"),
        (["--confidence", "1"], "--confidence = 1.0 is not accepted"),
        (["--claim", "nan"], "--claim = nan is not accepted"),
        (["--clients", "00009"], "--clients = '00009' is unknown"),
        (["--set", "federation.rounds=0"], "federation.rounds = 0"),
        (["--plot", "picture.jpg"], "--plot picture.jpg"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    refused: Callable, config: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    output = tmp_path / "audit"
    assert message in refused("audit", "attack", config, "--output", output, *arguments, code=2)
    assert not output.exists()


def test_a_folder_in_use_is_refused(refused: Callable, config: Path, run: Path) -> None:
    assert "is not empty" in refused("audit", "attack", config, "--output", run, code=2)


def test_a_missing_configuration_is_named(refused: Callable, tmp_path: Path) -> None:
    assert "nowhere.toml" in refused("audit", "attack", tmp_path / "nowhere.toml", code=2)
    assert "holds no run" in refused("audit", "attack", tmp_path, code=2)
