"""Public pre-training: free of charge, named on the card, and what the generator begins with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.components import gan_of
from fedgan.federation.public_start import pretrain
from fedgan.privacy.ledger import read_ledger

MakeConfig = Callable[..., Config]
Run = Callable[..., Any]


@pytest.fixture
def public(tmp_path: Path) -> list[str]:
    """Return settings that name 60 public images, bright on the right, of 3 classes of their own."""
    images = np.full((60, 8, 8), 40, np.uint8)
    images[:, :, 4:] = 215
    images += np.random.default_rng(0).integers(0, 20, images.shape, dtype=np.uint8)
    labels = np.arange(60) % 3
    parts = {
        f"{part}_{what}": value
        for part in ("train", "test")
        for what, value in (("images", images), ("labels", labels))
    }
    np.savez(tmp_path / "public.npz", **parts)
    return ["training.public_data='npz'", f"training.public_root='{tmp_path / 'public.npz'}'"]


def test_every_class_begins_as_the_public_images_are(tiny_config: MakeConfig, public: list[str]) -> None:
    config = tiny_config(*public, "training.public_steps=300", "training.warm_start_features=200", "model.width=32")
    gan = gan_of(config, (1, 8, 8), 10)
    pretrain(gan, config)
    latents, labels = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 10
    with torch.no_grad():
        images = gan.generator(latents, labels)
    for label in range(10):
        mean = images[labels == label].mean((0, 1, 2))  # by column
        assert float(mean[:4].max()) < -0.3
        assert float(mean[4:].min()) > 0.3


@pytest.mark.privacy
def test_it_costs_nothing_and_the_card_names_it(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, public: list[str]
) -> None:
    charges = {}
    for name, settings in (("with", [*public, "training.public_steps=5"]), ("without", [])):
        run(tiny_config(*settings), tmp_path / name)
        ledgers = sorted((tmp_path / name / "ledgers").glob("*.jsonl"))
        charges[name] = [[line.event for line in read_ledger(path)] for path in ledgers]
        assert all(charges[name])
    assert charges["with"] == charges["without"]
    cards = {name: json.loads((tmp_path / name / "generator.json").read_text()) for name in charges}
    assert cards["with"]["public_data"] == {"name": "npz", "steps": 5}
    assert cards["without"]["public_data"] is None


def test_a_run_goes_on_from_what_was_pretrained(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, public: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(*public, "training.public_steps=5", "privacy.level='none'")
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fedgan.federation.run.GanStrategy", interrupted)
        run(config, tmp_path / "parts")
    (tmp_path / "public.npz").unlink()  # not read again
    run(config, tmp_path / "parts", resume=True)
    whole, parts = ((tmp_path / name / "generator.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    run(tiny_config("privacy.level='none'"), tmp_path / "without")
    assert (tmp_path / "without" / "generator.safetensors").read_bytes() != whole


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.privacy
@pytest.mark.parametrize(
    "settings",
    [
        ["data.name='digits'", "training.public_data='digits'"],
        ["data.name='digits'", "training.public_data='digits'", "training.public_root='elsewhere'"],
        ["data.name='mnist'", "data.root='a'", "training.public_data='mnist'", "training.public_root='b'"],
        ["data.name='npz'", "data.root='a.npz'", "training.public_data='npz'"],
        ["data.name='npz'", "data.root='a.npz'", "training.public_data='npz'", "training.public_root='b/../a.npz'"],
        [
            "data.name='image_folder'",
            "data.root='a/b'",
            "training.public_data='image_folder'",
            "training.public_root='a'",
        ],
        [
            "data.name='image_folder'",
            "data.root='a'",
            "training.public_data='image_folder'",
            "training.public_root='a/b'",
        ],
    ],
)
def test_private_records_are_not_called_public(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, settings: list[str]
) -> None:
    with pytest.raises(UsageError, match=r"training\.public_data = .* names the private data"):
        run(tiny_config(*settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["training.public_data='mnst'"], r"training\.public_data = 'mnst'.*mnist"),
        (
            ["training.public_data='npz'", "training.public_root='/nowhere.npz'"],
            r"training\.public_root = '/nowhere.npz'",
        ),
    ],
)
def test_what_is_not_there_is_named(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, settings: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        run(tiny_config(*settings), tmp_path / "run")
