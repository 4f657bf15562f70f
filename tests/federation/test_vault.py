"""What a vault promises: it charges before it reads, and nothing leaves that was not made private.

Statistical bounds are at 5.7 standard errors: a sound vault fails one in 1e8 times.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.federation import vault as vault_module
from fedgan.federation.requests import GENERATED, Description, EmbedRequest, Refusal, Release, TrainRequest
from fedgan.federation.server import Server
from fedgan.federation.vault import Vault
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.noise import SeededNoise
from fedgan.training.local import Optimisation
from fedgan.training.warm_start import FeatureMap, embed

pytestmark = pytest.mark.privacy

MakeVault = Callable[..., Vault]
MakeServer = Callable[..., Server]

SIGMAS = 5.7
EMBED_REQUEST = EmbedRequest("run-1", 8, 1)


class Spied(ImageDataset):
    """Calls `on_read` with every batch that is read."""

    def __init__(self, data: ImageDataset, on_read: Callable[[Tensor], None]) -> None:
        super().__init__(data.images, data.labels, data.num_classes)
        object.__setattr__(self, "on_read", on_read)

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        self.on_read(torch.as_tensor(indices))  # type: ignore[attr-defined]
        return super().batch(indices)


def charges(path: Path) -> int:
    return sum(line.event is not None for line in read_ledger(path)) if path.exists() else 0


def spied(records: ImageDataset, ledger: Path) -> tuple[ImageDataset, list[int]]:
    """Return the records, and a list that takes the number of charges at every read."""
    seen: list[int] = []
    return Spied(records, lambda indices: seen.append(charges(ledger))), seen


# Charges


def test_the_records_are_digested_once(
    make_vault: MakeVault, request_of: Callable[..., TrainRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    digested: list[object] = []
    digest = vault_module.dataset_digest
    monkeypatch.setattr(vault_module, "dataset_digest", lambda records: (digested.append(records), digest(records))[1])
    vault = make_vault()
    for number in (1, 2):
        vault.train(request_of(round=number))
    assert len(digested) == 1


def test_train_is_charged_before_any_record_is_read(
    make_vault: MakeVault, records: ImageDataset, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    data, seen = spied(records, ledger)
    make_vault(data=data).train(request_of())
    assert seen == [1, 1, 1, 1]


def test_embed_is_charged_before_any_record_is_read(make_vault: MakeVault, records: ImageDataset, ledger: Path) -> None:
    data, seen = spied(records, ledger)
    make_vault(data=data).embed(EMBED_REQUEST)
    assert seen == [1]


def test_the_ledger_grows_by_the_plans_event(
    make_vault: MakeVault, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    vault = make_vault()
    plan = vault._plan
    heads = [vault.embed(EMBED_REQUEST).head, vault.train(request_of()).head, vault.train(request_of(steps=2)).head]
    opening, *lines = read_ledger(ledger)
    assert opening.event is None
    step = PoissonSampled(12 / 48, Gaussian(plan.noise_multiplier))
    assert [line.event for line in lines] == [
        Gaussian(plan.warm_start_noise),
        SelfComposed(4, step),
        SelfComposed(2, step),
    ]
    assert [line.hash for line in lines] == heads
    assert [line.row["round"] for line in lines] == [0, 1, 1]
    assert [line.row["run"] for line in lines] == ["run-1"] * 3
    assert [line.row["clip"] for line in lines] == [1.0, 1.0, 1.0]
    assert [line.row["noise_std"] for line in lines] == [
        plan.warm_start_noise,
        plan.noise_multiplier,
        plan.noise_multiplier,
    ]
    assert {line.delta for line in lines} == {1e-3}


def test_a_failure_after_the_charge_stays_charged(
    make_vault: MakeVault, records: ImageDataset, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    def fail(indices: Tensor) -> None:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        make_vault(data=Spied(records, fail)).train(request_of())
    assert charges(ledger) == 1


def test_a_spent_budget_computes_nothing(
    make_vault: MakeVault, records: ImageDataset, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    data, seen = spied(records, ledger)
    vault = make_vault(data=data, participations=2, warm_start_share=0.0)
    vault.train(request_of())
    vault.train(request_of(round=2))
    content, reads = ledger.read_bytes(), len(seen)
    with pytest.raises(Refusal) as refusal:
        vault.train(request_of(round=3))
    assert refusal.value.code == Refusal.BUDGET_SPENT
    assert ledger.read_bytes() == content
    assert len(seen) == reads


def test_the_budget_outlives_the_vault(
    make_vault: MakeVault, request_of: Callable[..., TrainRequest], ledger: Path
) -> None:
    make_vault(participations=1, warm_start_share=0.0).train(request_of())
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        make_vault(participations=1, warm_start_share=0.0).train(request_of(run="another"))
    make_vault(participations=1, warm_start_share=0.0, lifetime_epsilon=100.0).train(request_of(run="another"))
    assert charges(ledger) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"steps": -1},
        {"steps": 5},
        {"discriminator_steps": 0},
        {"arrays": {}},
        {"arrays": {"generator/x": np.zeros(1, np.float32)}},
    ],
)
def test_a_bad_request_charges_and_computes_nothing(
    make_vault: MakeVault,
    records: ImageDataset,
    ledger: Path,
    request_of: Callable[..., TrainRequest],
    changes: dict[str, Any],
) -> None:
    data, seen = spied(records, ledger)
    with pytest.raises(Refusal) as refusal:
        make_vault(data=data).train(request_of(**changes))
    assert refusal.value.code == Refusal.BAD_REQUEST
    assert not ledger.exists()
    assert seen == []


@pytest.mark.parametrize("bad", [np.zeros(3, np.float32), np.array(["text"]), np.zeros(3, object)])
def test_arrays_that_do_not_fit_are_a_bad_request(
    make_vault: MakeVault, ledger: Path, request_of: Callable[..., TrainRequest], bad: Any
) -> None:
    arrays = dict(request_of().arrays)
    arrays[min(arrays)] = bad
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault().train(request_of(arrays=arrays))
    assert not ledger.exists()


@pytest.mark.parametrize("bad", [np.zeros((4, 8), np.float32), np.zeros((4, 9), np.float64), np.zeros((), object)])
def test_an_anchor_that_does_not_fit_is_a_bad_request(
    make_vault: MakeVault, ledger: Path, request_of: Callable[..., TrainRequest], bad: Any
) -> None:
    arrays = {**request_of().arrays, "target/means": bad}
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault(anchor_weight=1.0).train(request_of(arrays=arrays))
    assert not ledger.exists()


def test_a_round_that_no_ledger_line_may_hold_is_not_computed(
    make_vault: MakeVault, records: ImageDataset, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    data, seen = spied(records, ledger)
    with pytest.raises(ValueError, match="cannot be recorded"):
        make_vault(data=data).train(request_of(round=-1))
    assert charges(ledger) == 0
    assert seen == []


def test_an_unplanned_warm_start_is_refused(make_vault: MakeVault, ledger: Path) -> None:
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault(warm_start_share=0.0).embed(EMBED_REQUEST)
    assert not ledger.exists()


@pytest.mark.parametrize("level", ["none", "record"])
def test_a_plan_without_rounds_trains_nothing(
    make_vault: MakeVault, records: ImageDataset, ledger: Path, request_of: Callable[..., TrainRequest], level: str
) -> None:
    data, seen = spied(records, ledger)
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault(data=data, level=level, participations=0).train(request_of())
    assert not ledger.exists()
    assert seen == []


def test_a_second_warm_start_is_over_the_budget(make_vault: MakeVault, ledger: Path) -> None:
    vault = make_vault(warm_start_share=0.9)
    vault.embed(EMBED_REQUEST)
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        vault.embed(replace(EMBED_REQUEST, run="run-2"))
    assert charges(ledger) == 1


def test_level_none_keeps_no_ledger(
    make_vault: MakeVault, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    vault = make_vault(level="none")
    assert vault.embed(EMBED_REQUEST).head == vault.train(request_of()).head == ""
    assert not ledger.parent.exists()


def test_a_plan_for_other_records_is_refused(make_vault: MakeVault, records: ImageDataset) -> None:
    vault = make_vault()
    with pytest.raises(ValueError, match="48 records, not 47"):
        Vault(
            "00000",
            records.subset(torch.arange(47)),
            plan=vault._plan,
            ledger=vault._ledger,
            lifetime_epsilon=1.0,
            training=vault._training,
            seed=0,
        )


def test_a_torn_ledger_is_repaired(
    make_vault: MakeVault, ledger: Path, request_of: Callable[..., TrainRequest]
) -> None:
    vault = make_vault()
    vault.train(request_of())
    with ledger.open("ab") as file:
        file.write(b'{"version":1,"seq')
    vault.repair_ledger()
    assert charges(ledger) == 1
    assert read_ledger(ledger)[-1].event is None
    vault.train(request_of(round=2))
    assert charges(ledger) == 2


# What comes out


def test_the_embedding_carries_the_charged_noise(make_vault: MakeVault, records: ImageDataset) -> None:
    data = records
    vault = make_vault(data=data, lifetime_epsilon=1000.0)
    first, second = (vault.embed(EmbedRequest(run, 2000, 1)) for run in ("run-1", "run-2"))
    clean = embed(data, FeatureMap((1, 8, 8), features=2000, seed=1)).numpy()
    assert first.noise_std == vault._plan.warm_start_noise > 0
    for difference, std in (
        (first.arrays["embedding"] - clean, first.noise_std),
        (second.arrays["embedding"] - clean, first.noise_std),
        (first.arrays["embedding"] - second.arrays["embedding"], math.sqrt(2) * first.noise_std),
    ):
        draws = difference.astype(np.float64).ravel() / std
        assert abs(draws.mean()) < SIGMAS / math.sqrt(draws.size)
        assert abs(draws.var() - 1) < SIGMAS * math.sqrt(2 / draws.size)


class Recording:
    """A source of noise that notes what it was asked for."""

    def __init__(self) -> None:
        self.stds: list[float] = []
        self.sizes: list[int] = []
        self.choices: list[int] = []
        self._source = SeededNoise(0)

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        self.stds.append(std)
        self.sizes.append(math.prod(shape))
        return self._source.normal(shape, std)

    def uniform(self, count: int) -> np.ndarray:
        self.choices.append(count)
        return self._source.uniform(count)


def test_every_private_step_takes_the_charged_noise_for_every_weight(
    make_vault: MakeVault, request_of: Callable[..., TrainRequest]
) -> None:
    noise = Recording()
    vault = make_vault(noise=noise)
    release = vault.train(request_of())
    weights = sum(array.size for name, array in release.arrays.items() if name.startswith("discriminator/"))
    assert noise.stds == [vault._plan.noise_multiplier * vault._plan.clip] * 4
    assert release.noise_std == noise.stds[0] > 0
    assert noise.sizes == [weights] * 4
    assert noise.choices == [48] * 4


def test_every_coordinate_of_the_embedding_carries_noise(make_vault: MakeVault, records: ImageDataset) -> None:
    """The first of each class counts its records: without noise it would publish how many there are."""
    noise = Recording()
    vault = make_vault(noise=noise)
    release = vault.embed(EMBED_REQUEST)
    clean = embed(records, FeatureMap((1, 8, 8), features=8, seed=1)).float().numpy()
    expected = SeededNoise(0).normal((4, 9), vault._plan.warm_start_noise).numpy()
    np.testing.assert_allclose(release.arrays["embedding"] - clean, expected, rtol=1e-4, atol=1e-4)
    assert (noise.sizes, noise.stds) == ([4 * 9], [vault._plan.warm_start_noise])
    assert noise.choices == []


def test_without_a_level_the_embedding_is_exact(make_vault: MakeVault, records: ImageDataset) -> None:
    release = make_vault(level="none").embed(EMBED_REQUEST)
    clean = embed(records, FeatureMap((1, 8, 8), features=8, seed=1)).float().numpy()
    np.testing.assert_array_equal(release.arrays["embedding"], clean)
    assert release.noise_std == 0.0


@pytest.mark.parametrize(("level", "equal"), [("record", False), ("none", True)])
def test_only_without_a_level_do_seeds_decide(
    make_vault: MakeVault, request_of: Callable[..., TrainRequest], level: str, equal: bool
) -> None:
    results = []
    for run in ("run-1", "run-2"):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        results.append(make_vault(level=level).train(request_of(run=run)).arrays)
    for name in ("discriminator/head.weight", "generator/hidden.0.weight"):
        assert np.array_equal(results[0][name], results[1][name]) is equal


def test_batches_are_poisson_at_the_plans_rate(
    make_vault: MakeVault, records: ImageDataset, request_of: Callable[..., TrainRequest]
) -> None:
    """Fixed seeds: the bounds on 48 counts together would be broken by chance in 2 of a million runs."""
    batches: list[Tensor] = []
    spied = Spied(records, batches.append)
    vault = make_vault(data=spied, participations=50, warm_start_share=0.0, noise=SeededNoise(0))
    for number in range(50):
        vault.train(request_of(round=number))
    probability, draws = 12 / 48, 50 * 4
    assert len(batches) == draws
    sizes = np.array([len(batch) for batch in batches])
    variance = 48 * probability * (1 - probability)
    assert abs(sizes.mean() - 12) < SIGMAS * math.sqrt(variance / draws)
    # The sample variance of draws^-1 * sum of binomials has a standard error of about variance * sqrt(2 / draws).
    assert abs(sizes.var() / variance - 1) < SIGMAS * math.sqrt(2 / draws)
    counts = np.bincount(np.concatenate(batches), minlength=48)
    assert (abs(counts - draws * probability) < SIGMAS * math.sqrt(draws * probability * (1 - probability))).all()


def test_without_a_level_batches_have_the_stated_size(
    make_vault: MakeVault, records: ImageDataset, request_of: Callable[..., TrainRequest]
) -> None:
    batches: list[Tensor] = []
    make_vault(level="none", data=Spied(records, batches.append)).train(request_of())
    assert [len(batch) for batch in batches] == [12] * 4


def test_an_empty_batch_is_a_step(make_vault: MakeVault, request_of: Callable[..., TrainRequest]) -> None:
    class NothingDrawn:
        def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
            return torch.full(shape, std)

        def uniform(self, count: int) -> np.ndarray:
            return np.full(count, 0.999)

    release = make_vault(noise=NothingDrawn()).train(request_of())
    assert release.generator_steps == 2
    assert all(np.isfinite(array).all() for array in release.arrays.values())


class Scripted:
    """A source of noise whose coins all show the same number at a time, the next of `chances`."""

    def __init__(self, *chances: float) -> None:
        self._chances = cycle(chances)
        self._source = SeededNoise(0)

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        return self._source.normal(shape, std)

    def uniform(self, count: int) -> np.ndarray:
        return np.full(count, next(self._chances))


def test_an_empty_batch_is_not_drawn_again(
    make_vault: MakeVault, records: ImageDataset, request_of: Callable[..., TrainRequest]
) -> None:
    """Batches that are never empty have another distribution than the one that was charged."""
    batches: list[Tensor] = []
    make_vault(data=Spied(records, batches.append), noise=Scripted(0.999, 0.0)).train(request_of())
    assert [len(batch) for batch in batches] == [0, 48, 0, 48]


class NoiseAlone:
    """Stands in for a private gradient: it reads no record, so whatever it returns is the noise's doing."""

    def __init__(self, **settings: Any) -> None:
        self._source = SeededNoise(1)

    def __call__(self, module: torch.nn.Module, inputs: Any, loss: Any) -> dict[str, Tensor]:
        return {name: self._source.normal(tuple(value.shape), 0.1).float() for name, value in module.named_parameters()}


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
def test_nothing_but_the_private_gradient_tells_of_the_records(
    make_vault: MakeVault, make_server: MakeServer, ledger: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """With its mechanism cut off, a vault says the same of any records and any batches: nothing else reads them."""
    monkeypatch.setattr("fedgan.federation.vault.PrivateGradient", NoiseAlone)
    monkeypatch.setattr("fedgan.federation.vault.embed", lambda data, feature_map: torch.zeros(4, 9))
    request = make_server(algorithm=algorithm).train_request()
    said: list[tuple[Description, Release, Release]] = []
    rng = torch.Generator().manual_seed(0)
    for darkest, classes, chance in ((255, 1, 0.999), (0, 4, 0.0), (100, 2, 0.1)):
        images = torch.randint(darkest, 256, (48, 1, 8, 8), generator=rng, dtype=torch.uint8)
        data = ImageDataset(images, torch.randint(classes, (48,), generator=rng), 4)
        vault = make_vault(data=data, algorithm=algorithm, noise=Scripted(chance))
        said.append((vault.describe(), vault.embed(EMBED_REQUEST), vault.train(request)))
        shutil.rmtree(ledger.parent)
    (description, *expected), *others = said
    for other, *releases in others:
        assert other == description
        for release, wanted in zip(releases, expected, strict=True):
            assert replace(release, head="", arrays={}) == replace(wanted, head="", arrays={})
            assert release.arrays.keys() == wanted.arrays.keys()
            for name, array in wanted.arrays.items():
                np.testing.assert_array_equal(release.arrays[name], array, err_msg=name)


class Drawn(Recording):
    """Puts every record into every batch, or none into any."""

    def __init__(self, coin: float) -> None:
        super().__init__()
        self._coin = coin

    def uniform(self, count: int) -> np.ndarray:
        return np.full(count, self._coin)


def test_sums_are_divided_by_the_expected_rows_and_clipped_as_planned(make_vault: MakeVault) -> None:
    vault = make_vault()
    gradient = vault._gradient()
    assert isinstance(gradient, PrivateGradient)
    assert gradient.expected_rows == 12 + 12  # expected records and constant generated rows, whatever is drawn
    assert (gradient.clip, gradient.noise_multiplier) == (vault._plan.clip, vault._plan.noise_multiplier)
    assert (gradient.engine, gradient.microbatch) == ("opacus", 0)


def test_microbatches_reach_both_gradients(make_vault: MakeVault, optimisation: Optimisation) -> None:
    for level in ("record", "none"):
        vault = make_vault(level=level)
        vault._training = replace(vault._training, optimisation=replace(optimisation, microbatch=5))
        gradient = vault._gradient()
        assert isinstance(gradient, PrivateGradient if level == "record" else PlainGradient)
        assert gradient.microbatch == 5


def test_nothing_beside_the_networks_follows_the_records(
    make_vault: MakeVault,
    request_of: Callable[..., TrainRequest],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Batches of all records and of none: as many steps, as much noise, as many generated images, not a word."""
    seen = []
    for coin in (0.0, 0.999):
        noise = Drawn(coin)
        with caplog.at_level(logging.DEBUG):
            release = make_vault(noise=noise, lifetime_epsilon=100.0).train(request_of(run=str(coin)))
        seen.append((noise.stds, noise.sizes, release.round, release.noise_std, release.generator_steps))
    assert seen[0] == seen[1]
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("algorithm", "networks"), [("fedgan", {"generator", "discriminator"}), ("dp_fedavg_gan", {"discriminator"})]
)
def test_only_what_the_algorithm_returns_leaves(
    make_vault: MakeVault, make_server: MakeServer, algorithm: str, networks: set[str]
) -> None:
    request = make_server(algorithm=algorithm).train_request()
    release = make_vault(algorithm=algorithm).train(request)
    assert {name.partition("/")[0] for name in release.arrays} == networks
    assert all(array.dtype == np.float32 for array in release.arrays.values())


def test_weights_that_are_not_finite_break_no_guarantee(
    make_vault: MakeVault, make_server: MakeServer, ledger: Path
) -> None:
    request = make_server(algorithm="dp_fedavg_gan").train_request()
    arrays = {name: np.full_like(array, 1e30) for name, array in request.arrays.items()}
    release = make_vault(algorithm="dp_fedavg_gan").train(replace(request, arrays=arrays))
    assert charges(ledger) == 1
    assert all(np.isfinite(array).all() for array in release.arrays.values())


def test_images_that_stand_in_for_a_generator_are_looked_at_before_anything_is_charged(
    make_vault: MakeVault, make_server: MakeServer, ledger: Path
) -> None:
    request = make_server(algorithm="dp_fedavg_gan").train_request()
    images = request.arrays[GENERATED]
    assert images.shape == (26, 1, 8, 8)
    bad = images.copy()
    bad[3, 0, 2, 2] = np.nan
    for change in (None, images[:-1], np.concatenate([images, images]), images[:, :, :-1], images.astype(float), bad):
        arrays = {name: array for name, array in request.arrays.items() if name != GENERATED}
        if change is not None:
            arrays[GENERATED] = change
        with pytest.raises(Refusal) as caught:
            make_vault(algorithm="dp_fedavg_gan").train(replace(request, arrays=arrays))
        assert caught.value.code == Refusal.BAD_REQUEST
    assert charges(ledger) == 0
    make_vault(algorithm="dp_fedavg_gan").train(request)
    assert charges(ledger) == 1


def test_where_images_stand_in_the_generator_itself_is_used_by_nobody(
    make_vault: MakeVault, make_server: MakeServer
) -> None:
    """A site's own generator, which nobody sends weights for, may hold anything: no step reads it."""
    request = make_server(algorithm="dp_fedavg_gan").train_request()
    assert not any(name.startswith("generator/") for name in request.arrays)
    vaults = [make_vault(level="none", algorithm="dp_fedavg_gan") for _ in range(2)]
    for parameter in vaults[1]._training.gan.generator.parameters():
        parameter.data.fill_(float("nan"))
    first, second = (vault.train(request) for vault in vaults)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(second.arrays[name], array)
    others = replace(request, arrays={**request.arrays, GENERATED: -request.arrays[GENERATED]})
    moved = vaults[0].train(others)
    assert any((moved.arrays[name] != array).any() for name, array in first.arrays.items())
