"""With one client and noise off, a federated algorithm is a plain central loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.data.sampling import uniform_indices
from fedgan.federation.arrays import load_network, network_arrays, select
from fedgan.federation.server import Server
from fedgan.federation.vault import Vault
from fedgan.losses import LOSSES
from fedgan.models import ExponentialMovingAverage
from fedgan.privacy.gradient import PlainGradient
from fedgan.seeding import derive_seed
from fedgan.training.gan import Gan
from fedgan.training.ladder import Ladder
from fedgan.training.local import Optimisation
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.stored import StoredGenerator, generate_stock
from fedgan.training.streams import stream

CLASSES, IMAGES = 4, 26
ROUNDS, STEPS, EVERY, DECAY, SEED = 3, 4, 3, 0.9, 5


def federate(server: Server, vault: Vault) -> Server:
    for _ in range(ROUNDS):
        server.absorb_round([vault.train(server.train_request())], {}, records=48)
    return server


def batches_of(records: ImageDataset, number: int) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    rng = np.random.default_rng(derive_seed(SEED, "batches", "00000", number))
    return lambda: records.batch(torch.from_numpy(uniform_indices(len(records), 12, rng)))


def assert_same(found: torch.nn.Module, wanted: torch.nn.Module) -> None:
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_fedgan_of_one_client_is_a_central_loop(
    make_server: Callable[..., Server],
    make_vault: Callable[..., Vault],
    make_gan: Callable[..., Gan],
    records: ImageDataset,
    optimisation: Optimisation,
) -> None:
    server = federate(make_server(ladder=Ladder(rungs=(EVERY,))), make_vault(level="none"))
    gan, loss = make_gan(), LOSSES["non_saturating"]
    average = ExponentialMovingAverage(gan.generator)
    step = 0
    for number in range(1, ROUNDS + 1):
        rng, batch = stream(SEED, "client", "00000", number), batches_of(records, number)
        discriminator, generator = optimisation.for_discriminator(gan), optimisation.for_generator(gan)
        taken = 0
        for _ in range(STEPS):
            discriminator_step(
                gan, *batch(), fakes=12, loss=loss, gradient=PlainGradient(), optimizer=discriminator, rng=rng
            )
            step += 1
            if step % EVERY == 0:
                generator_step(gan, batch_size=6, loss=loss, optimizer=generator, rng=rng)
                taken += 1
        average.update(gan.generator, DECAY**taken)
    assert step // EVERY == 4  # the alternation goes on over rounds
    assert_same(server.gan.discriminator, gan.discriminator)
    assert_same(server.gan.generator, gan.generator)
    assert_same(server.average.module, average.module)


def test_dp_fedavg_gan_of_one_client_is_a_central_loop(
    make_server: Callable[..., Server],
    make_vault: Callable[..., Vault],
    make_gan: Callable[..., Gan],
    records: ImageDataset,
    optimisation: Optimisation,
) -> None:
    server = federate(
        make_server(algorithm="dp_fedavg_gan", ladder=Ladder(rungs=(EVERY,))),
        make_vault(level="none", algorithm="dp_fedavg_gan"),
    )
    gan, loss = make_gan(), LOSSES["non_saturating"]
    average = ExponentialMovingAverage(gan.generator)
    generator = optimisation.for_generator(gan)  # the server keeps its state over rounds
    taken = 0
    for number in range(1, ROUNDS + 1):
        rng, batch = stream(SEED, "client", "00000", number), batches_of(records, number)
        discriminator = optimisation.for_discriminator(gan)
        images = generate_stock(gan, IMAGES, stream(SEED, "images", number))
        client = Gan(StoredGenerator(images, CLASSES), gan.discriminator)
        for _ in range(STEPS):
            discriminator_step(
                client, *batch(), fakes=12, loss=loss, gradient=PlainGradient(), optimizer=discriminator, rng=rng
            )
        rng = stream(SEED, "server", number)
        while taken < number * STEPS // EVERY:
            generator_step(gan, batch_size=6, loss=loss, optimizer=generator, rng=rng)
            average.update(gan.generator, DECAY)
            taken += 1
    assert_same(server.gan.discriminator, gan.discriminator)
    assert_same(server.gan.generator, gan.generator)
    assert_same(server.average.module, average.module)


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
def test_a_round_moves_both_networks(
    make_server: Callable[..., Server], make_vault: Callable[..., Vault], make_gan: Callable[..., Gan], algorithm: str
) -> None:
    server, before = make_server(algorithm=algorithm), make_gan()
    vaults = [make_vault(algorithm=algorithm, client=name) for name in ("00000", "00001")]
    report = server.absorb_round([vault.train(server.train_request()) for vault in vaults], {}, records=48)
    assert report.clients == ["00000", "00001"]
    assert report.generator_steps == 2
    assert 0 <= report.fake_accuracy <= 1  # type: ignore[operator]
    assert set(report.heads) == {"00000", "00001"}
    for network in ("generator", "discriminator"):
        old, new = before.network(network).state_dict(), server.gan.network(network).state_dict()
        assert any(not torch.equal(old[name], new[name]) for name in old), network


def test_only_the_generators_average_is_what_two_clients_agree_on(
    make_server: Callable[..., Server], make_vault: Callable[..., Vault]
) -> None:
    server = make_server()
    releases = [make_vault(level="none", client=name).train(server.train_request()) for name in ("00000", "00001")]
    server.absorb_round(releases, {}, records=96)
    for name, array in {**server_arrays(server)}.items():
        expected = (releases[0].arrays[name].astype(np.float64) + releases[1].arrays[name]) / 2
        np.testing.assert_array_equal(array, expected.astype(np.float32))


def server_arrays(server: Server) -> dict[str, np.ndarray]:
    return network_arrays("generator", server.gan.generator) | network_arrays("discriminator", server.gan.discriminator)


# Arrays


def test_networks_become_arrays_and_back(make_gan: Callable[..., Gan]) -> None:
    gan, other = make_gan(seed=1), make_gan(seed=2)
    arrays = server_arrays_of(gan)
    assert all(array.dtype == np.float32 for array in arrays.values())
    for name in ("generator", "discriminator"):
        load_network(name, other.network(name), arrays)
        assert_same(other.network(name), gan.network(name))
    assert set(select(arrays, ["generator"])) == {name for name in arrays if name.startswith("generator/")}


def server_arrays_of(gan: Gan) -> dict[str, np.ndarray]:
    return network_arrays("generator", gan.generator) | network_arrays("discriminator", gan.discriminator)


def test_arrays_are_copies(make_gan: Callable[..., Gan]) -> None:
    gan = make_gan()
    for array in server_arrays_of(gan).values():
        array[...] = np.nan
    assert all(bool(torch.isfinite(value).all()) for value in gan.generator.state_dict().values())


def test_integer_buffers_do_not_travel() -> None:
    module = torch.nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="generator/num_batches_tracked is torch"):
        network_arrays("generator", module)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_arrays_must_fit_exactly(make_gan: Callable[..., Gan], change: str) -> None:
    gan = make_gan()
    arrays = network_arrays("generator", gan.generator)
    name = min(arrays)
    if change == "missing":
        del arrays[name]
    elif change == "extra":
        arrays["generator/extra"] = np.zeros(1, np.float32)
    else:
        arrays[name] = np.zeros((*arrays[name].shape, 2), np.float32)
    with pytest.raises(RuntimeError):
        load_network("generator", gan.generator, arrays)
