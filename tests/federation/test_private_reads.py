"""What a vault tells of all its records: noisy counts, paid for before a record is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.memorisation import Probe, make_probe
from fedgan.federation.requests import Refusal
from fedgan.federation.vault import Vault
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.noise import SeededNoise
from fedgan.privacy.plan_noise import evaluation_noise_for

pytestmark = pytest.mark.privacy

MakeVault = Callable[..., Vault]
MULTIPLIER = 2.0


class Watched(ImageDataset):
    """Calls `on_read` before a batch is read."""

    def __init__(self, data: ImageDataset, on_read: Callable[[], None]) -> None:
        super().__init__(data.images, data.labels, data.num_classes)
        object.__setattr__(self, "on_read", on_read)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        self.on_read()  # type: ignore[attr-defined]
        return super().batch(indices)


class Recorded(SeededNoise):
    """Keeps what it drew, and of what deviation."""

    def __init__(self) -> None:
        super().__init__(1)
        self.drawn: list[tuple[Tensor, float]] = []

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        values = super().normal(shape, std)
        self.drawn.append((values.clone(), std))
        return values


@pytest.fixture
def probe(records: ImageDataset, make_gan: Callable) -> Probe:
    pixels = torch.rand(30, *records.image_shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    public = ImageDataset(pixels, torch.arange(30) % records.num_classes, records.num_classes)
    discriminator = make_gan().discriminator.eval()
    return make_probe(public, public, seed=0, discriminator=discriminator)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "client-00000.jsonl"


def evaluate(vault: Vault, probe: Probe, round: int = 4) -> tuple[Tensor, float]:
    counts, std, _ = vault.evaluate(probe, run="run-1", round=round, multiplier=MULTIPLIER)
    return counts, std


def test_counts_are_charged_before_any_record_is_read(
    make_vault: MakeVault, records: ImageDataset, probe: Probe, ledger: Path
) -> None:
    charged: list[int] = []
    data = Watched(records, lambda: charged.append(len(read_ledger(ledger)) - 1 if ledger.exists() else 0))
    evaluate(make_vault(data=data), probe)
    assert set(charged) == {1}
    assert len(charged) >= len(records)


@pytest.mark.parametrize(("trust", "algorithm"), [("local", "fedgan"), ("aggregator", "fedsgd")])
def test_the_charge_names_the_sensitivity_of_all_counts(
    make_vault: MakeVault, probe: Probe, ledger: Path, trust: str, algorithm: str
) -> None:
    _, std = evaluate(make_vault(trust=trust, algorithm=algorithm), probe)
    _, line = read_ledger(ledger)
    assert len(probe.names) == 3
    assert line.event == Gaussian(MULTIPLIER)
    assert line.row["clip"] == pytest.approx(math.sqrt(3))
    assert line.row["noise_std"] == pytest.approx(math.sqrt(3) * MULTIPLIER) == std
    assert (line.trust, line.row["round"], line.row["run"]) == ("local", 4, "run-1")  # its own noise hides them


def test_what_is_told_is_the_counts_and_the_charged_noise(
    make_vault: MakeVault, records: ImageDataset, probe: Probe, ledger: Path
) -> None:
    noise = Recorded()
    counts, std = evaluate(make_vault(noise=noise), probe)
    [(drawn, deviation)] = noise.drawn
    assert deviation == std == read_ledger(ledger)[-1].row["noise_std"] == pytest.approx(math.sqrt(3) * MULTIPLIER)
    torch.testing.assert_close(counts, probe.count(records) + drawn, rtol=0, atol=1e-5)


@pytest.mark.parametrize("copied", [0, 50])
def test_five_percent_of_records_copied_show_at_a_large_epsilon(
    make_vault: MakeVault, records: ImageDataset, copied: int
) -> None:
    def images(count: int, seed: int) -> ImageDataset:
        rng = torch.Generator().manual_seed(seed)
        pixels = torch.rand(count, *records.image_shape, generator=rng) * 2 - 1
        return ImageDataset(pixels, torch.arange(count) % records.num_classes, records.num_classes)

    train, made = images(1000, 1), images(300 + copied, 3)
    made.images[:copied] = train.images[:copied]
    probe = make_probe(made, images(1000, 2), seed=0, discriminator=None)
    vault = make_vault(data=train, lifetime_epsilon=10_000.0)
    counts, *_ = vault.evaluate(probe, run="run-1", round=4, multiplier=0.1)
    assert counts[0] / 1000 == pytest.approx(copied / 1000 + 0.01, abs=0.012)
    assert counts[1] / 1000 == pytest.approx(copied / 1000 + 0.05, abs=0.025)


def test_the_noise_is_another_each_time(make_vault: MakeVault, probe: Probe) -> None:
    vaults = make_vault(lifetime_epsilon=100.0), make_vault(lifetime_epsilon=100.0)
    first, second = (evaluate(vault, probe)[0] for vault in vaults)
    assert not (first == second).any()


def test_what_does_not_fit_the_budget_reads_and_charges_nothing(
    make_vault: MakeVault, records: ImageDataset, probe: Probe, ledger: Path
) -> None:
    evaluate(make_vault(), probe)
    before = ledger.read_bytes()
    data = Watched(records, lambda: pytest.fail("a record was read"))
    spent = epsilon([Gaussian(MULTIPLIER)], delta=1e-3, accountant="rdp")
    vault = make_vault(data=data, lifetime_epsilon=1.3 * spent)
    assert not vault.affords(Gaussian(MULTIPLIER))
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        evaluate(vault, probe)
    assert ledger.read_bytes() == before


def test_room_is_looked_for_without_touching_a_ledger(make_vault: MakeVault, ledger: Path) -> None:
    assert make_vault().affords(Gaussian(MULTIPLIER))
    assert not make_vault().affords(Gaussian(0.0))
    assert not ledger.exists()
    assert make_vault(level="none").affords(Gaussian(0.0))


def test_a_release_costs_what_was_asked_for() -> None:
    noise = evaluation_noise_for(2.0, 1e-4, "pld")
    assert 0.999 * 2 < epsilon([Gaussian(noise)], delta=1e-4) <= 2


def test_without_a_level_counts_are_exact_and_free(
    make_vault: MakeVault, records: ImageDataset, probe: Probe, ledger: Path
) -> None:
    counts, std = evaluate(make_vault(level="none"), probe)
    assert (counts.tolist(), std) == (probe.count(records).tolist(), 0.0)
    assert not ledger.exists()


def test_where_clients_are_hidden_there_are_no_counts(make_vault: MakeVault, probe: Probe, ledger: Path) -> None:
    vault = make_vault(level="client", trust="aggregator", algorithm="dp_fedavg_gan", probability=0.5)
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        evaluate(vault, probe)
    assert not ledger.exists()
