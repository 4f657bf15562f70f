"""A watched vault is a vault: same charges, same sampler, same rule; what differs are its records and who looks on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedgan.federation.attack.records import ClientCanaries
from fedgan.federation.attack.sites import widened
from fedgan.federation.attack.vault import Watch, WatchedVault
from fedgan.federation.requests import EmbedRequest, TrainRequest
from fedgan.federation.vault import Vault
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.plan import PrivacyPlan
from fedgan.training.warm_start import FeatureMap, embed

pytestmark = pytest.mark.privacy

Place = Callable[..., ClientCanaries]
PlanOf = Callable[..., PrivacyPlan]
WatchedVaultOf = Callable[..., tuple[WatchedVault, Watch]]


def test_it_overrides_nothing_that_charges_or_clips() -> None:
    own = {name for name in vars(WatchedVault) if not name.startswith("__")}
    assert own == {"describe", "embed", "train", "_gradient", "_batches"}
    assert WatchedVault.__mro__[1] is Vault


def test_no_module_of_an_ordinary_run_imports_canaries() -> None:
    code = (
        "import sys, fedgan.federation.simulation, fedgan.federation.apps, fedgan.cli.app, fedgan.cli.simulate;"
        "sys.exit(any(name.startswith('fedgan.federation.attack') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_charges_the_plans_event_for_all_its_rows(
    place: Place,
    plan_of: PlanOf,
    watched_vault: WatchedVaultOf,
    request_of: Callable[..., TrainRequest],
    tmp_path: Path,
) -> None:
    plan = plan_of(2.0)
    vault, watch = watched_vault(place(directions=100), plan)
    vault.train(request_of(1))
    opening, line = read_ledger(tmp_path / "client-00000.jsonl")
    assert opening.records == line.records == 148
    assert line.event == widened(plan, 148).round_event(5)
    assert line.row["noise_std"] == plan.noise_multiplier * plan.clip
    assert watch.rounds == 1


@pytest.mark.parametrize("canaries", [1, 100, 1000, 4321])
def test_the_plan_keeps_everything_but_the_number_of_records(plan_of: PlanOf, canaries: int) -> None:
    plan = plan_of(2.0)
    wide = widened(plan, plan.records + canaries)
    assert wide.records == 48 + canaries
    assert wide.planned_events() == plan.planned_events()
    assert wide.clip == plan.clip


def test_canaries_are_sampled_at_the_plans_rate_where_they_are_in_and_never_where_out(
    place: Place, plan_of: PlanOf, watched_vault: WatchedVaultOf, request_of: Callable[..., TrainRequest]
) -> None:
    """Noise is subtracted by planting none; bounds at 5.5 standard errors of 20 x 1,000 coins."""

    class Silent:
        def __init__(self) -> None:
            self._rng = np.random.default_rng(6)

        def normal(self, shape: tuple[int, ...], std: float) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64)

        def uniform(self, count: int) -> np.ndarray:
            return self._rng.random(count)

    placed = place(directions=2000)
    vault, watch = watched_vault(placed, plan_of(2.0), noise=Silent())
    steps: list[np.ndarray] = []
    watch.see_step = lambda projections: steps.append(projections.numpy().round(5))  # type: ignore[method-assign]
    for number in range(1, 5):
        vault.train(request_of(number))
    seen, coins = np.stack(steps), placed.coins(placed.gradient)
    assert set(np.unique(seen)) == {0.0, 1.0}
    assert not seen[:, ~coins].any()
    rate, draws = vault._plan.probability, seen[:, coins].size
    assert seen[:, coins].mean() == pytest.approx(rate, abs=5.5 * (rate * (1 - rate) / draws) ** 0.5)


def test_batches_are_the_vaults_own_under_a_guarantee_and_as_large_a_part_without(
    place: Place, plan_of: PlanOf, watched_vault: WatchedVaultOf
) -> None:
    private, _ = watched_vault(place(directions=100), plan_of(2.0))
    code = Vault._batches(private, 1).__code__  # type: ignore[attr-defined]
    assert private._batches(1).__code__ is code  # type: ignore[attr-defined]
    placed = place(directions=100)
    plain, _ = watched_vault(placed, plan_of(2.0, level="none"))
    sizes = [len(plain._batches(number)()[0]) for number in range(200)]
    # 12 of 48 are 37 of 148, of which those that are out are left away
    assert np.mean(sizes) == pytest.approx(37 * float(placed.records.included.double().mean()), abs=1.0)


def test_it_describes_its_own_records(place: Place, plan_of: PlanOf, watched_vault: WatchedVaultOf) -> None:
    vault, _ = watched_vault(place(directions=100, images=20, members=10), plan_of(2.0))
    assert vault.describe().records == 48
    assert vault.describe().num_classes == 4


def test_the_warm_start_sums_the_rows_that_are_there_and_have_an_image(
    place: Place, plan_of: PlanOf, watched_vault: WatchedVaultOf
) -> None:
    placed = place(directions=50, images=20, members=10)
    vault, _ = watched_vault(placed, plan_of(2.0, level="none"))
    release = vault.embed(EmbedRequest("run-1", 8, 1))
    rows = torch.nonzero(placed.records.included[:68])[:, 0]
    expected = embed(placed.records.subset(rows), FeatureMap((1, 8, 8), features=8, seed=1))
    np.testing.assert_allclose(release.arrays["embedding"], expected.float().numpy(), rtol=1e-6)
    assert vault._records is placed.records


def test_without_gradient_canaries_the_rule_is_the_vaults_own(
    place: Place, plan_of: PlanOf, watched_vault: WatchedVaultOf, request_of: Callable[..., TrainRequest]
) -> None:
    vault, watch = watched_vault(place(images=9), plan_of(2.0))
    assert vault._gradient() == Vault._gradient(vault)
    vault.train(request_of(1))
    assert len(watch.evidence) == 0
    assert watch.logit_scores().shape == (9,)


def test_input_scores_are_the_mean_rise_of_the_logit(
    place: Place, plan_of: PlanOf, watched_vault: WatchedVaultOf, request_of: Callable[..., TrainRequest]
) -> None:
    placed = place(images=12)
    vault, watch = watched_vault(placed, plan_of(2.0))
    images, labels = placed.images(placed.input)
    logits = []
    for number in (1, 2):
        vault.train(request_of(number))
        with torch.no_grad():
            logits.append(vault._training.gan.discriminator(images, labels).double().numpy())
    rise = (logits[0] + logits[1]) / 2 - watch._first
    np.testing.assert_allclose(watch.logit_scores(), (rise - rise.mean()) / rise.std(), rtol=1e-9)
