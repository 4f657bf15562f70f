"""`fedgan explain`: a picture and figures from the generator and the discriminator, and from nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fedgan.config import load_config
from fedgan.federation.card import load_generator
from fedgan.federation.discriminator import load_discriminator
from fedgan.runs import RunFolder


def test_a_picture_is_written_and_each_class_has_a_row(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "explained.png"
    result = fedgan("explain", run, "--output", file)
    assert (result.code, result.err) == (0, "")
    rows = [line.split("│") for line in result.out.splitlines() if line.startswith("│")]
    assert [(row[1].strip(), row[2].strip()) for row in rows] == [(str(label), "4") for label in range(10)]
    assert result.out.endswith(f"blue pixels speak for real, red ones for generated: {file}\n")
    with Image.open(file) as image:
        assert image.format == "PNG"
        assert np.ptp(np.asarray(image.convert("L"))) > 200


def test_json_is_one_document_whose_scores_are_the_discriminators(fedgan: Callable, run: Path, tmp_path: Path) -> None:
    options = ["--labels", "7,0,7", "--count", "3", "--seed", "5"]
    result = fedgan("explain", run, "--output", tmp_path / "x.png", *options, "--json")
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    assert list(document) == ["run", "round", "generator_round", "output", "classes"]
    assert (document["run"], document["output"]) == (str(run), str(tmp_path / "x.png"))
    assert (document["round"], document["generator_round"]) == (2, 2)
    fedgan("generate", run, "--count", 6, "--labels", "7,0", "--seed", 5, "--output", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as archive:
        images, labels = torch.as_tensor(archive["images"]), torch.as_tensor(archive["labels"])
    config = load_config(run / "config.toml")
    discriminator, _ = load_discriminator(RunFolder(run), config, num_classes=10, image_shape=(1, 8, 8))
    scores = discriminator(images, labels)
    assert [row["label"] for row in document["classes"]] == [7, 0]
    for row in document["classes"]:
        assert list(row) == ["label", "images", "mean_score", "baseline_score", "completeness_error"]
        assert row["images"] == 3
        assert row["mean_score"] == pytest.approx(float(scores[labels == row["label"]].mean()), abs=1e-5)
        assert 0 <= row["completeness_error"] < 0.02


def test_a_generator_of_an_earlier_round_is_said_to_be_one(fedgan: Callable, run_copy: Path, tmp_path: Path) -> None:
    card = json.loads((run_copy / "generator.json").read_text())
    (run_copy / "generator.json").write_text(json.dumps(card | {"kept_round": 1}))
    words = " ".join(fedgan("explain", run_copy, "--output", tmp_path / "x.png").out.split())
    assert "the discriminator after round 2, on images of the generator of round 1, which was kept" in words


def test_the_discriminator_is_the_last_checkpoints(run: Path) -> None:
    folder = RunFolder(run)
    _, config = load_generator(folder)
    module, rounds = load_discriminator(folder, config, num_classes=10, image_shape=(1, 8, 8))
    saved = load_file(run / "checkpoints" / "round-00002.safetensors")
    assert rounds == 2
    assert not any(parameter.requires_grad for parameter in module.parameters()) and not module.training
    before = load_file(run / "checkpoints" / "round-00001.safetensors")
    state = module.state_dict()
    for name, tensor in state.items():
        assert torch.equal(tensor, saved[f"discriminator/{name}"])
    # All of them at once: Adam's first steps are of one size, so a single number can come back to where it was.
    assert not all(torch.equal(tensor, before[f"discriminator/{name}"]) for name, tensor in state.items())


@pytest.mark.privacy
def test_no_private_record_is_read_and_no_budget_spent(
    fedgan: Callable, contents: Callable, run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claim: an explanation is post-processing of the published generator and the private discriminator."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("an explanation read data")

    for module in ("fedgan.data", "fedgan.data.loading", "fedgan.federation.sites"):
        monkeypatch.setattr(f"{module}.load_data", never)
    shutil.rmtree(run_copy / "ledgers")
    before = contents(run_copy)
    assert fedgan("explain", run_copy, "--output", tmp_path / "x.png", "--count", 1).code == 0
    assert contents(run_copy) == before


def test_a_run_without_a_checkpoint_is_refused(refused: Callable, run_copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(run_copy / "checkpoints")
    line = refused("explain", run_copy, "--output", tmp_path / "x.png")
    assert line.startswith(f"{run_copy / 'checkpoints'} holds no checkpoint: ")
    assert not (tmp_path / "x.png").exists()


def test_a_discriminator_that_no_round_trained_is_refused(
    fedgan: Callable, refused: Callable, config: Path, tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = ["--set", "federation.rounds=0", "--set", "training.warm_start_steps=1", "--set", "privacy.level=none"]
    assert fedgan("simulate", config, *tiny, *options, "--output", run, "--quiet").code == 0
    assert "discriminator that no round has trained" in refused("explain", run, "--output", tmp_path / "x.png")


def test_another_runs_checkpoint_is_found(refused: Callable, run_copy: Path, tmp_path: Path) -> None:
    card = run_copy / "generator.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"run": "another"}))
    line = refused("explain", run_copy, "--output", tmp_path / "x.png", code=4)
    assert line == f"{run_copy / 'checkpoints' / 'round-00002.json'}: of another run than generator.json"


@pytest.mark.parametrize("what", ["changed", "lost", "of another network"])
def test_a_damaged_checkpoint_is_found(refused: Callable, run_copy: Path, tmp_path: Path, what: str) -> None:
    weights = run_copy / "checkpoints" / "round-00002.safetensors"
    if what == "lost":
        weights.unlink()
    elif what == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    else:
        save_file({"discriminator/head.weight": torch.zeros(1)}, weights)
    line = refused("explain", run_copy, "--output", tmp_path / "x.png", code=4)
    assert line.startswith(f"{weights}: damaged checkpoint: ")


@pytest.mark.parametrize("options", [["--labels", "10"], ["--labels", "a"], ["--count", "0"], ["--seed", "-1"]])
def test_options_out_of_range_are_refused(refused: Callable, run: Path, tmp_path: Path, options: list[str]) -> None:
    assert options[0] in refused("explain", run, "--output", tmp_path / "x.png", *options)


def test_more_classes_than_a_picture_has_room_for_are_refused(
    refused: Callable, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedgan.cli.explain._ROWS", 9)
    line = refused("explain", run, "--output", tmp_path / "x.png")
    assert line == "--labels = 'all' is not accepted: give at most 9 of the 10 classes, joined by commas"


@pytest.mark.parametrize("name", ["x.jpg", "x.npz", "x"])
def test_another_form_is_refused(refused: Callable, run: Path, tmp_path: Path, name: str) -> None:
    assert refused("explain", run, "--output", tmp_path / name).endswith("give a name that ends in .png")


def test_a_place_that_cannot_be_written_is_refused(refused: Callable, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = refused("explain", run, "--count", 1, "--output", tmp_path / "file" / "x.png")
    assert line.startswith(f"--output {tmp_path / 'file' / 'x.png'}: cannot write there: ")
