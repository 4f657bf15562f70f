"""Bad input is refused before anything is written: one clear line, exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedgan.registry import Registry

Refused = Callable[..., str]

NAMES = {
    "data.name": ("digit", "digits"),
    "partition.scheme": ("dirichle", "dirichlet"),
    "model.name": ("dcgn", "dcgan"),
    "loss.name": ("hing", "hinge"),
    "loss.penalty": ("r2", "r1"),
    "federation.algorithm": ("fedgn", "fedgan"),
    "federation.aggregation": ("men", "mean"),
    "federation.server_optimizer": ("adm", "adam"),
    "partition.skew": ("contrst", "contrast"),
    "training.augmentation": ("flp", "flip"),
    "privacy.clipping_engine": ("opcus", "opacus"),
    "training.warm_start_family": ("window", "windows"),
    "privacy.accountant": ("pdl", "pld"),
    "evaluation.metrics": ("logistic_regresion", "logistic_regression"),
}


@pytest.fixture
def refused_start(refused: Refused, config: Path, tiny: list[str], tmp_path: Path) -> Refused:
    """Refuse `simulate` with overrides, leaving nothing behind, and `plan` with the same line."""

    def call(*overrides: str, file: Path = config, made: int = 0) -> str:
        sets = [word for item in overrides for word in ("--set", item)]
        line = refused("simulate", file, *tiny, *sets, "--output", tmp_path / "deep" / "run")
        assert not (tmp_path / "deep").exists()
        assert refused("plan", file, *tiny, *sets) == line
        return line

    return call


@pytest.mark.parametrize(("key", "wrong", "nearest"), [(key, *names) for key, names in NAMES.items()])
def test_an_unknown_name_offers_the_nearest(refused_start: Refused, key: str, wrong: str, nearest: str) -> None:
    line = refused_start(f"{key}={wrong}")
    assert line.startswith(f"--set: {key} = {wrong!r} is ")
    assert f"did you mean {nearest!r}? " in line


def test_every_registry_is_tried_here() -> None:
    import fedgan.federation.simulation  # noqa: F401 (loads them all)

    ours = [module for name, module in sys.modules.items() if name.startswith("fedgan.")]
    keys = {thing.key for module in ours for thing in vars(module).values() if isinstance(thing, Registry)}
    assert keys == set(NAMES)


@pytest.mark.parametrize(("key", "value"), [("loss.penalty", "r1"), ("training.precision", "bfloat16")])
def test_what_opacus_cannot_clip_is_refused(refused_start: Refused, key: str, value: str) -> None:
    line = refused_start(f"{key}={value}", "privacy.clipping_engine=opacus")
    assert line.startswith(f"--set: {key} = {value!r} is not accepted: give ")
    assert "privacy.clipping_engine = 'opacus'" in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loss.penalty_weight", "-1"),
        ("loss.auxiliary_weight", "-1"),
        ("loss.auxiliary_weight", "inf"),
        ("loss.auxiliary_weight", "class"),
        ("training.microbatch", "-1"),
        ("training.precision", "float16"),
    ],
)
def test_values_out_of_range_are_refused(refused_start: Refused, key: str, value: str) -> None:
    assert refused_start(f"{key}={value}").startswith(f"--set: {key} = ")


def test_the_second_of_several_metrics_is_checked_too(refused_start: Refused) -> None:
    assert "did you mean 'cnn'?" in refused_start("evaluation.metrics=logistic_regression,cn")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["privacy.epsilonn=1"], ["--set: privacy.epsilonn", "did you mean 'privacy.epsilon'?"]),
        (["privacy.epsilon=0"], ["--set: privacy.epsilon = 0", "greater than 0"]),
        (["privacy.epsilon=-1"], ["--set: privacy.epsilon = -1", "greater than 0"]),
        (["privacy.delta=1"], ["--set: privacy.delta = 1", "less than 1"]),
        (["federation.rounds=-1"], ["--set: federation.rounds = -1", "at least 0"]),
        (["federation.fraction=0"], ["--set: federation.fraction = 0", "greater than 0"]),
        (["data.image_size=65"], ["--set: data.image_size = 65", "8 to 64"]),
        (["partition.clients=1438"], ["--set: partition.clients = 1438", "1 to 1437"]),
        (["training.batch_size=480"], ["--set: training.batch_size = 480", "at most 479: client 0000"]),
        (["privacy.trust=aggregator"], ["--set: privacy.trust = 'aggregator'", "'fedgan'", "several local steps"]),
        (["privacy.level=client"], ["privacy.level = 'client'", "'aggregator'"]),
        (["federation.algorithm=fedsgd"], ["federation.local_steps = ", "one gradient sum", "give 1"]),
        (["privacy.clip_quantile=0.5"], ["--set: privacy.clip_quantile = 0.5", "'client' alone"]),
        (["partition.scheme=natural"], ["partition.scheme = 'natural'", "owns"]),
        (
            ["partition.scheme=dirichlet", "partition.clients=300", "partition.alpha=0.01"],
            ["leaves client", "without records", "fewer partition.clients"],
        ),
        (["data.name=mnist"], ["data.root = ''", "MNIST/raw/ with train-images-idx3-ubyte"]),
        (["data.name=npz"], ["data.root = ''", "train_images and train_labels"]),
        (["data.name=npz", "data.root=/no/such/file.npz"], ["--set: data.root = '/no/such/file.npz'", ".npz file"]),
        (["data.name=image_folder", "data.root=/no/such"], ["--set: data.root = '/no/such'", "train/CLASS/"]),
        (["data.name=omniglot", "data.root=/no/such"], ["--set: data.root = '/no/such'", "images_background_small1"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) and "=" in value[-1] else "",
)
def test_it_is_one_line_and_no_run_folder(refused_start: Refused, overrides: list[str], words: list[str]) -> None:
    line = refused_start(*overrides)
    for word in words:
        assert word in line


def test_a_warm_start_that_leaves_no_budget_is_refused_at_once(refused_start: Refused) -> None:
    assert "privacy.warm_start_share = 1" in refused_start("privacy.warm_start_share=1")


def test_a_budget_that_no_noise_meets_is_refused_at_once(refused_start: Refused) -> None:
    assert "privacy.epsilon = " in refused_start("privacy.delta=1e-300")


@pytest.mark.parametrize(
    ("text", "number", "words"),
    [
        ("# c\n\n[privacy]\nepsilon = 0\n", 4, "privacy.epsilon = 0 is not accepted"),
        ("[loss]\n\nname = 'hing'\n", 3, "loss.name = 'hing' is unknown: did you mean 'hinge'?"),
        ("[training]\n# c\nbatch_size = 1000\n", 3, "training.batch_size = 1000 is not accepted: give at most 479"),
        ("[data]\nname = 'npz'\nroot = '/no/such'\n", 3, "data.root = '/no/such' is not accepted"),
        ("[federaton]\nround = 1\n", 2, "federaton.round is an unknown key: did you mean 'federation.rounds'?"),
    ],
)
def test_a_mistake_in_a_file_names_file_and_line(
    refused_start: Refused, tmp_path: Path, text: str, number: int, words: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert refused_start(file=file).startswith(f"{file}:{number}: {words}")


def test_broken_toml_names_file_and_line(refused_start: Refused, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("seed = 1\nseed = = 2\n")
    line = refused_start(file=file)
    assert line.startswith(f"{file}: not valid TOML: ")
    assert "line 2" in line


def test_a_missing_config_is_named(refused_start: Refused, tmp_path: Path) -> None:
    file = tmp_path / "missing.toml"
    assert refused_start(file=file) == f"{file}: cannot read the configuration: No such file or directory"


def test_images_without_labels_are_refused(refused_start: Refused, tmp_path: Path) -> None:
    images = np.zeros((600, 8, 8), np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    line = refused_start("data.name=npz", f"data.root={tmp_path / 'images.npz'}")
    assert "has no array labels, and a class-conditional model needs labels" in line


def test_images_with_labels_are_taken(fedgan: Callable, config: Path, tiny: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((600, 8, 8), np.uint8), labels=np.arange(600) % 2)
    sets = ["--set", "privacy.level=none", "--set", "data.name=npz", "--set", f"data.root={tmp_path / 'images.npz'}"]
    assert fedgan("plan", config, *tiny, *sets, "--json").code == 0


@pytest.mark.parametrize("resumed", [False, True])
def test_a_folder_that_holds_a_run_is_left_alone(
    refused: Refused, contents: Callable, config: Path, tiny: list[str], run_copy: Path, resumed: bool
) -> None:
    before = contents(run_copy)
    if resumed:
        line = refused("simulate", config, *tiny, "--set", "seed=1", "--output", run_copy, "--resume")
        assert line == (
            "--resume: seed = 1 differs from the run's own seed = 0; leave CONFIG and --set out to continue it"
        )
    else:
        line = refused("simulate", config, *tiny, "--output", run_copy)
        assert line == f"{run_copy} already holds a run: give another --output, or --resume to continue that one"
    assert contents(run_copy) == before


def test_resume_needs_a_folder_with_a_run(refused: Refused, config: Path, tmp_path: Path) -> None:
    assert refused("simulate", config, "--resume").startswith("--resume needs --output")
    assert "holds no run" in refused("simulate", config, "--resume", "--output", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written_is_refused(
    refused: Refused, config: Path, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    line = refused("simulate", config, *tiny, "--output", tmp_path / "file" / "run")
    assert line.startswith(f"--output {tmp_path / 'file' / 'run'}: cannot write there")


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulat"],
        ["simulate", "--no-such-option"],
        ["simulate", "--engine", "spark"],
        ["plan"],
        ["generate", "run", "--count", "0", "--output", "x.png"],
        ["generate", "run", "--count", "many", "--output", "x.png"],
        ["generate", "run", "--output", "x.png"],
        ["explain", "run"],
        ["audit", "budget"],
        ["audit", "budget", "run", "--delta", "small"],
        ["audit", "budgets"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(refused: Refused, arguments: list[str]) -> None:
    assert refused(*arguments)


@pytest.mark.parametrize(
    "command", [["generate", "--count", "1", "--output", "x.png"], ["evaluate"], ["explain", "--output", "x.png"]]
)
@pytest.mark.parametrize("state", ["missing", "empty", "unfinished"])
def test_a_folder_without_a_finished_run_is_refused(
    refused: Refused, tmp_path: Path, command: list[str], state: str
) -> None:
    folder = tmp_path / "run"
    if state != "missing":
        folder.mkdir()
    if state == "unfinished":
        (folder / "config.toml").write_text("seed = 0\n")
    line = refused(command[0], folder, *command[1:])
    assert line.startswith(f"{folder} holds no {'finished ' if state == 'unfinished' else ''}run")


def test_a_ledger_folder_that_cannot_be_made_is_refused(refused: Refused, tmp_path: Path) -> None:
    line = refused("simulate", "--set", "privacy.ledgers=/proc/none", "--output", tmp_path / "run")
    assert "privacy.ledgers = '/proc/none' is not accepted" in line
    assert not (tmp_path / "run").exists()


def test_more_clients_wanted_than_are_asked_is_refused(refused_start: Refused) -> None:
    assert "federation.minimum_clients = 4" in refused_start("federation.minimum_clients=4")


def test_a_mistyped_root_leaves_no_folder(refused_start: Refused, tmp_path: Path) -> None:
    root = tmp_path / "no" / "such"
    assert "data.root" in refused_start("data.name=cifar10", f"data.root={root}")
    assert not (tmp_path / "no").exists()
