"""`fedgan simulate`: one JSON document, a whole run folder, and figures that agree with the ledgers."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fedgan.audit.budget import audit_budget
from fedgan.audit.curve import spent_by_round
from fedgan.config import load_config
from fedgan.report.budget_curve import budget_curve
from fedgan.training.early_stopping import EarlyStopping


def overrides(tiny: list[str]) -> list[str]:
    return [word for word in tiny if word != "--set"]


def test_json_is_one_document_with_the_ledgers_figures(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    summary = json.loads(printed)
    assert list(summary) == ["run", "seconds", "stopped", "level", "epsilon", "delta", "metrics", "clients"]
    budget = audit_budget([folder])
    assert summary["run"] == str(folder)
    assert (summary["level"], summary["stopped"]) == ("record", "")
    assert (summary["epsilon"], summary["delta"]) == (budget.epsilon, 1e-4)
    assert 0 < summary["epsilon"] <= 10
    assert summary["clients"] == [
        {"client": one.client, "records": one.records, "epsilon": one.epsilon, "delta": one.delta}
        for one in budget.clients
    ]
    assert [client["records"] for client in summary["clients"]] == [479, 479, 479]
    assert list(summary["metrics"]) == ["logistic_regression"]


@pytest.mark.parametrize(
    "settings",
    [
        {"loss.penalty": "r1", "loss.name": "hinge"},
        {"loss.penalty": "gradient_penalty", "loss.name": "wasserstein", "training.microbatch": 50},
        {"training.precision": "bfloat16", "model.name": "dcgan", "model.width": 4},
        {"training.precision": "bfloat16", "loss.penalty": "r1", "privacy.level": "none", "training.microbatch": 7},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_a_run_with_settings_of_the_step(
    fedgan: Callable[..., Any], config: Path, tiny: list[str], tmp_path: Path, settings: dict[str, object]
) -> None:
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run = fedgan("simulate", config, *tiny, *sets, "--output", tmp_path / "run", "--json")
    assert run.code == 0, run.err
    summary = json.loads(run.out)
    assert (summary["epsilon"] is None) == (settings.get("privacy.level") == "none")
    fields = load_config(tmp_path / "run" / "config.toml").model_dump()
    for key, value in settings.items():
        table, _, name = key.partition(".")
        assert fields[table][name] == value


def test_a_run_that_stops_early_says_so_and_shows_the_generator_that_it_kept(
    fedgan: Callable[..., Any], config: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distances = iter([3.0, 2.0, 4.0])
    monkeypatch.setattr(EarlyStopping, "_distance_of", lambda *_: next(distances))
    changes = (
        "federation.rounds=4",
        "training.early_stopping_rounds=1",
        "training.discriminator_steps=1",
        "privacy.level=none",
    )
    sets = [word for change in changes for word in ("--set", change)]
    run = fedgan("simulate", config, *tiny, *sets, "--output", tmp_path / "run")
    assert run.code == 0, run.err
    words = "no better generator in 1 round; the one after round 1 is kept"
    assert f"stopped early: {words}" in run.out
    shown = [path.name for path in sorted((tmp_path / "run" / "samples").glob("*.png"))]
    assert shown == ["round-00000.png", "round-00001.png"]
    assert "round-00001.png" in run.out


def test_the_run_folder_holds_what_the_design_says(run: Path) -> None:
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.suffix not in (".lock", ".salt")}
    rounds = [f"round-{number:05d}" for number in range(3)]
    assert found == {
        "config.toml",
        "metrics.jsonl",
        "partition.png",
        "budget.png",
        "evaluation.json",
        "generator.safetensors",
        "generator.json",
        "ledgers",
        *(f"ledgers/client-{number:05d}.jsonl" for number in range(3)),
        "checkpoints",
        *(f"checkpoints/{name}.{kind}" for name in rounds for kind in ("json", "safetensors")),
        "samples",
        *(f"samples/{name}.png" for name in rounds),
    }


def test_the_configuration_is_written_out_as_resolved(run: Path, config: Path, tiny: list[str]) -> None:
    assert load_config(run / "config.toml") == load_config(config, overrides(tiny))


def test_metrics_have_a_line_a_round(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["round"] for row in rows] == [0, 1, 2]
    assert rows[1]["clients"] == ["00000", "00001", "00002"]
    assert rows[1]["refused"] == {}


@pytest.mark.privacy
def test_the_card_says_what_the_ledgers_say(run: Path) -> None:
    card = json.loads((run / "generator.json").read_text())
    budget = audit_budget([run])
    assert (card["epsilon"], card["delta"]) == (budget.epsilon, 1e-4)
    assert (card["level"], card["trust"], card["accountant"]) == ("record", "local", "pld")
    assert card["ledger_heads"] == {one.client: one.head for one in budget.clients}
    assert card["sha256"] == sha256((run / "generator.safetensors").read_bytes()).hexdigest()
    assert (card["rounds"], card["stopped"]) == (2, "")
    assert (card["image_shape"], card["num_classes"]) == ([1, 8, 8], 10)


def test_pictures_show_something(run: Path) -> None:
    for path in [run / "partition.png", *(run / "samples").glob("*.png")]:
        with Image.open(path) as image:
            low, high = image.convert("L").getextrema()
        assert low < high, path


def test_resuming_a_finished_run_costs_nothing(fedgan: Callable, contents: Callable, run_copy: Path) -> None:
    before = contents(run_copy)
    result = fedgan("simulate", "--resume", "--output", run_copy, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    after = contents(run_copy)
    for name in ("generator.safetensors", "metrics.jsonl", *(name for name in before if name.endswith(".jsonl"))):
        assert after[name][0] == before[name][0], name


def test_the_same_configuration_may_be_given_to_resume(
    fedgan: Callable, config: Path, tiny: list[str], run_copy: Path
) -> None:
    assert fedgan("simulate", config, *tiny, "--resume", "--output", run_copy, "--quiet").code == 0


def test_an_interrupted_run_is_finished(fedgan: Callable, run_copy: Path) -> None:
    for path in run_copy.glob("checkpoints/round-00002.*"):
        path.unlink()
    for name in ("generator.json", "generator.safetensors", "evaluation.json"):
        (run_copy / name).unlink()
    result = fedgan("simulate", "--resume", "--output", run_copy, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["run"] == str(run_copy)
    rows = [json.loads(line) for line in (run_copy / "metrics.jsonl").read_text().splitlines()]
    assert [row["round"] for row in rows] == [0, 1]  # the lost round is paid for, so nobody can pay for it again
    assert json.loads((run_copy / "generator.json").read_text())["stopped"] == "no client has budget left"


SMALLEST = ["--set", "federation.rounds=0", "--set", "training.warm_start_steps=1"]


def test_a_large_delta_is_a_warning_and_the_run_goes_on(
    fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path
) -> None:
    options = [*tiny, *SMALLEST, "--set", "privacy.delta=0.01"]
    result = fedgan("simulate", config, *options, "--output", tmp_path / "run", "--json")
    assert result.code == 0
    assert result.err.startswith("warning: privacy.delta = 0.01 exceeds 1/records = 0.00209: ")
    assert len(result.err.splitlines()) == 1
    assert json.loads(result.out)["delta"] == 0.01
    planned = fedgan("plan", config, *options, "--json")
    assert (planned.code, planned.err) == (0, result.err)


def test_without_privacy_the_figures_are_null(fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path) -> None:
    options = [*tiny, *SMALLEST, "--set", "privacy.level=none"]
    result = fedgan("simulate", config, *options, "--output", tmp_path / "run", "--json")
    summary = json.loads(result.out)
    assert (result.code, summary["level"], summary["epsilon"], summary["delta"]) == (0, "none", None, None)
    assert [client["epsilon"] for client in summary["clients"]] == [None] * 3
    assert not (tmp_path / "run" / "ledgers").exists()


def test_the_table_and_the_way_on_are_shown(fedgan: Callable, run_copy: Path) -> None:
    result = fedgan("simulate", "--resume", "--output", run_copy)
    assert result.code == 0
    for word in ("client", "records", "epsilon", "delta", "logistic_regression", "9.993", "00002", "1437"):
        assert word in result.out
    assert "  logistic_regression: accuracy on the held-out test set of " in result.out
    assert f"samples: {run_copy / 'samples' / 'round-00002.png'}\n" in result.out
    assert f"fedgan audit budget {run_copy}\n" in result.out
    assert f"run folder {run_copy}\n" in result.err


def test_more_scores_than_fit_beside_the_budgets_get_a_table_of_their_own(fedgan: Callable, run_copy: Path) -> None:
    file = run_copy / "config.toml"
    names = "logistic_regression,precision,recall"
    file.write_text(file.read_text().replace('metrics = "logistic_regression"', f'metrics = "{names}"'))
    out = fedgan("simulate", "--resume", "--output", run_copy).out
    scores = json.loads((run_copy / "evaluation.json").read_text())["metrics"]
    for name in names.split(","):
        rows = [line for line in out.splitlines() if f"│ {name} " in line]
        assert len(rows) == 1
        assert f" {scores[name]:.4f} " in rows[0]
        assert f"  {name}: " in out


@pytest.mark.parametrize("name", ["plain", "with [brackets] and :smile:"])
def test_a_folders_name_is_printed_as_it_is(fedgan: Callable, run_copy: Path, name: str) -> None:
    folder = run_copy.rename(run_copy.with_name(name))
    assert f"fedgan audit budget {folder}\n" in fedgan("simulate", "--resume", "--output", folder).out


@pytest.mark.privacy
def test_a_private_run_draws_what_each_client_spent(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = finished
    spent = spent_by_round([folder])
    assert [number for _, number in spent.points] == [0, 1, 2]
    budget_curve(spent.epsilons, tmp_path / "expected.png", limit=10)
    assert (folder / "budget.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_a_run_without_privacy_has_no_budget_to_draw(
    fedgan: Callable[..., Any], config: Path, tiny: list[str], tmp_path: Path
) -> None:
    result = fedgan("simulate", config, *tiny, "--set", "privacy.level=none", "--output", tmp_path / "run", "--quiet")
    assert result.code == 0, result.err
    assert (tmp_path / "run" / "partition.png").is_file()
    assert not (tmp_path / "run" / "budget.png").exists()
