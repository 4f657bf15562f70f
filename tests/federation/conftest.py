"""Small federations: 48 records of 1 x 8 x 8 in 4 classes a vault, or the 1,437 digits over three clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedgan.config import Config, load_config, to_toml
from fedgan.data.dataset import ImageDataset
from fedgan.federation import simulation
from fedgan.federation.aggregation import AGGREGATIONS
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.reports import RoundReport
from fedgan.federation.requests import TrainRequest
from fedgan.federation.server import Server
from fedgan.federation.server_steps import NetworkAverage
from fedgan.federation.simulation import Outcome
from fedgan.federation.vault import LocalTraining, Vault
from fedgan.losses import LOSSES
from fedgan.privacy.noise import SeededNoise
from fedgan.privacy.plan import make_plan
from fedgan.training.gan import Gan, build_gan
from fedgan.training.ladder import fixed_ladder
from fedgan.training.local import Optimisation
from fedgan.training.warm_start import FeatureMap

CLASSES = 4
SHAPE = (1, 8, 8)
FEATURES = 8
IMAGES = 26
TINY_RUN = (
    "threads=1",
    "device='cpu'",
    "partition.clients=3",
    "partition.scheme='iid'",
    "model.width=16",
    "model.latent_dim=8",
    "training.batch_size=16",
    "training.generator_batch_size=16",
    "training.warm_start_features=20",
    "training.warm_start_steps=5",
    "training.warm_start_batch_size=20",
    "federation.rounds=3",
    "federation.local_steps=2",
    "privacy.accountant='rdp'",
    "privacy.delta=1e-4",
)


class Watcher:
    """Observes a run: keeps the reports, and raises `error` after round `stop_after`."""

    def __init__(self, stop_after: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.reports: list[RoundReport] = []
        self._stop_after = stop_after
        self._error = error

    def warm_start_step(self, step: int, steps: int) -> None: ...

    def after_embedding(self, server: Server) -> None: ...

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        self.reports.append(report)
        if report.round == self._stop_after:
            raise self._error


@pytest.fixture
def watcher() -> type[Watcher]:
    return Watcher


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny_config() -> Callable[..., Config]:
    return lambda *overrides: load_config(None, [*TINY_RUN, *overrides])


def start_run(config: Config, output: Path, *, resume: bool = False, observer: Any = None) -> Outcome:
    folder, sites = simulation.prepare(config, output, resume=resume)
    return simulation.simulate(config, folder, sites, engine="local", resume=resume, observer=observer or Watcher())


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], Path]:
    """Return the folder of an uninterrupted run of a configuration without privacy, made once; not to be changed."""
    made: dict[str, Path] = {}

    def folder_of(config: Config) -> Path:
        if (key := to_toml(config)) not in made:
            torch.set_num_threads(1)
            folder = tmp_path_factory.mktemp("whole") / "run"
            start_run(config, folder)
            made[key] = folder
        return made[key]

    return folder_of


@pytest.fixture
def run() -> Callable[..., Outcome]:
    return start_run


@pytest.fixture
def make_gan() -> Callable[..., Gan]:
    def build(seed: int = 0, *, auxiliary: bool = False) -> Gan:
        return build_gan(
            "mlp",
            latent_dim=4,
            width=8,
            num_classes=CLASSES,
            image_shape=SHAPE,
            seed=seed,
            device=torch.device("cpu"),
            auxiliary=auxiliary,
        )

    return build


@pytest.fixture
def records() -> ImageDataset:
    rng = torch.Generator().manual_seed(7)
    images = torch.randint(256, (48, *SHAPE), generator=rng, dtype=torch.uint8)
    return ImageDataset(images, torch.arange(48) % CLASSES, CLASSES)


@pytest.fixture
def optimisation() -> Optimisation:
    return Optimisation(
        batch_size=12,
        generator_batch_size=6,
        discriminator_learning_rate=1e-2,
        generator_learning_rate=1e-2,
        beta1=0.5,
        beta2=0.999,
    )


@pytest.fixture
def make_vault(
    tmp_path: Path, records: ImageDataset, make_gan: Callable[..., Gan], optimisation: Optimisation
) -> Callable[..., Vault]:
    def build(
        *,
        level: str = "record",
        trust: str = "local",
        clients: int = 1,
        probability: float = 0.0,
        steps: int = 4,
        algorithm: str = "fedgan",
        client: str = "00000",
        data: ImageDataset = records,
        participations: int = 3,
        batch_size: int = 12,
        warm_start_share: float = 0.5,
        warm_start_shares: tuple[float, ...] = (1.0,),
        lifetime_epsilon: float = 10.0,
        anchor_weight: float = 0.0,
        noise: Any = None,
    ) -> Vault:
        plan = make_plan(
            level=level,  # type: ignore[arg-type]
            trust=trust,  # type: ignore[arg-type]
            records=len(data),
            clients=clients,
            probability=probability or batch_size / len(data),
            clip=1.0,
            epsilon=10.0,
            delta=1e-3,
            accountant="rdp",
            clipping_engine="opacus",
            warm_start_share=warm_start_share,
            warm_start_shares=warm_start_shares,
            steps_per_round=1 if level == "client" else steps,
            participations=participations,
        )
        training = LocalTraining(
            algorithm=ALGORITHMS[algorithm],
            gan=make_gan(seed=99),
            local_steps=steps,
            optimisation=optimisation,
            loss=LOSSES["non_saturating"],
            anchor_weight=anchor_weight,
            anchor_features=FeatureMap(SHAPE, features=FEATURES, seed=1) if anchor_weight else None,
            generated_images=IMAGES,
        )
        return Vault(
            client,
            data,
            plan=plan,
            ledger=tmp_path / "ledgers" / f"client-{client}.jsonl",
            lifetime_epsilon=lifetime_epsilon,
            training=training,
            seed=5,
            noise=noise,
        )

    return build


@pytest.fixture
def make_server(make_gan: Callable[..., Gan], optimisation: Optimisation) -> Callable[..., Server]:
    def build(**changes: Any) -> Server:
        algorithm = ALGORITHMS[changes.pop("algorithm", "fedgan")]
        settings: dict[str, Any] = {
            "run": "run-1",
            "gan": make_gan(),
            "algorithm": algorithm,
            "step": NetworkAverage(algorithm.returns, AGGREGATIONS["mean"]),
            "noise": SeededNoise(0),
            "optimisation": optimisation,
            "loss": LOSSES["non_saturating"],
            "ladder": fixed_ladder(2),
            "local_steps": 4,
            "minimum_clients": 1,
            "warm_start": None,
            "anchor_weight": 0.0,
            "ema_decay": 0.9,
            "seed": 5,
            "generated_images": IMAGES,
        }
        return Server(**{**settings, **changes})

    return build


@pytest.fixture
def request_of(make_server: Callable[..., Server]) -> Callable[..., TrainRequest]:
    return lambda **changes: replace(make_server().train_request(), **changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "client-00000.jsonl"


@pytest.fixture
def warm_start() -> WarmStart:
    return WarmStart(features=FEATURES, steps=3, batch_size=8, learning_rate=1e-2, class_counts="released")
