"""One watched client: 48 records of its own and any number of canaries, trained as every vault trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.attack.claim import Claim, ledger_claim
from fedgan.audit.attack.findings import Evidence, Finding, judge_all
from fedgan.data.dataset import ImageDataset
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.arrays import network_arrays
from fedgan.federation.attack.records import ClientCanaries, place_canaries
from fedgan.federation.attack.sites import widened
from fedgan.federation.attack.vault import Watch, WatchedVault
from fedgan.federation.requests import GENERATED, TrainRequest
from fedgan.federation.vault import LocalTraining
from fedgan.losses import LOSSES
from fedgan.privacy.plan import PrivacyPlan, make_plan
from fedgan.training.gan import Gan
from fedgan.training.local import Optimisation
from fedgan.training.stored import generate_stock
from fedgan.training.streams import stream

DELTA = 1e-5
IMAGES = 26


@pytest.fixture
def place(records: ImageDataset) -> Callable[..., ClientCanaries]:
    def build(*, directions: int = 0, images: int = 0, members: int = 0, seed: int = 0) -> ClientCanaries:
        return place_canaries(records, records, directions=directions, images=images, members=members, seed=seed)

    return build


@pytest.fixture
def plan_of() -> Callable[..., PrivacyPlan]:
    def build(
        epsilon: float, *, batch_size: int = 12, rounds: int = 4, steps: int = 5, level: str = "record"
    ) -> PrivacyPlan:
        return make_plan(
            level=level,  # type: ignore[arg-type]
            records=48,
            probability=batch_size / 48,
            clip=0.5,
            epsilon=epsilon,
            delta=DELTA,
            accountant="pld",
            clipping_engine="book_keeping",
            warm_start_share=0.0,
            steps_per_round=steps,
            participations=rounds,
        )

    return build


@pytest.fixture
def watched_vault(
    tmp_path: Path, make_gan: Callable[..., Gan], optimisation: Optimisation
) -> Callable[..., tuple[WatchedVault, Watch]]:
    def build(
        canaries: ClientCanaries,
        plan: PrivacyPlan,
        *,
        kind: type[WatchedVault] = WatchedVault,
        loss: str = "non_saturating",
        **changes: Any,
    ) -> tuple[WatchedVault, Watch]:
        plan = widened(plan, len(canaries.records))
        watch = Watch(canaries, plan, make_gan().discriminator)
        training = LocalTraining(
            ALGORITHMS["dp_fedavg_gan"], make_gan(seed=9), 5, optimisation, LOSSES[loss], 0.0, None, IMAGES
        )
        vault = kind(
            "00000",
            watch,
            plan=plan,
            ledger=tmp_path / "client-00000.jsonl",
            lifetime_epsilon=plan.epsilon,
            training=training,
            seed=5,
            **changes,
        )
        return vault, watch

    return build


@pytest.fixture
def request_of(make_gan: Callable[..., Gan]) -> Callable[..., TrainRequest]:
    def build(number: int, steps: int = 5) -> TrainRequest:
        gan = make_gan()
        arrays = network_arrays("discriminator", gan.discriminator)
        arrays[GENERATED] = generate_stock(gan, IMAGES, stream(0, "images", number)).numpy()
        return TrainRequest("run-1", number, steps, (number - 1) * steps, 1, arrays)

    return build


@pytest.fixture
def attack(
    tmp_path: Path,
    place: Callable[..., ClientCanaries],
    plan_of: Callable[..., PrivacyPlan],
    watched_vault: Callable[..., tuple[WatchedVault, Watch]],
    request_of: Callable[..., TrainRequest],
) -> Callable[..., Finding]:
    """Train a client with gradient canaries and judge what they show against what its ledger claims."""

    def run(
        epsilon: float,
        *,
        canaries: int = 1000,
        rounds: int = 4,
        batch_size: int = 12,
        planned_rounds: int | None = None,
        seed: int = 0,
        between_rounds: Callable[[Path], None] = lambda ledger: None,
        **changes: Any,
    ) -> Finding:
        ledger = tmp_path / "client-00000.jsonl"
        for path in tmp_path.glob("client-00000.*"):
            path.unlink()
        placed = place(directions=canaries, seed=seed)
        plan = plan_of(epsilon, batch_size=batch_size, rounds=planned_rounds or rounds)
        vault, watch = watched_vault(placed, plan, **changes)
        for number in range(1, rounds + 1):
            if number > 1:
                between_rounds(ledger)
            vault.train(request_of(number))
        claim: Claim = ledger_claim([ledger], delta=DELTA, accountant="pld", first_round=1)
        evidence = Evidence("gradient", watch.evidence, placed.coins(placed.gradient), claim)
        return judge_all([evidence], confidence=0.95)[0]

    return run
