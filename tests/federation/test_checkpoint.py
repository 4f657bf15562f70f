"""A checkpoint is the whole state of a server; one that is damaged is refused, naming the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from fedgan.errors import IntegrityError
from fedgan.federation.checkpoint import latest_checkpoint, load_checkpoint, read_facts, save_checkpoint
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.server import Server
from fedgan.federation.vault import Vault
from fedgan.training.ladder import Ladder

HEADS = {"00000": "a" * 64}


@pytest.fixture
def trained(make_server: Callable[..., Server], make_vault: Callable[..., Vault], warm_start: WarmStart) -> Server:
    """Return a server after its warm start and two rounds, every part of its state moved."""
    server = fresh(make_server, warm_start)
    vault = make_vault(level="none", algorithm="dp_fedavg_gan")
    server.absorb_embeddings([vault.embed(server.embed_request())], refused={}, records={"00000": 48})
    server.finish_embeddings()
    server.fit()
    for _ in range(2):
        server.absorb_round([vault.train(server.train_request())], {}, records=48)
    assert server.generator_optimizer.state_dict()["state"]
    return server


def fresh(make_server: Callable[..., Server], warm_start: WarmStart | None, **changes: object) -> Server:
    ladder = Ladder(rungs=(1, 2, 5), threshold=0.99, grace=4, decay=0.5)
    return make_server(algorithm="dp_fedavg_gan", warm_start=warm_start, ladder=ladder, **changes)


def assert_equal(found: Server, wanted: Server) -> None:
    for name in ("generator", "discriminator"):
        for key, tensor in wanted.gan.network(name).state_dict().items():
            assert torch.equal(found.gan.network(name).state_dict()[key], tensor)
    for key, tensor in wanted.average.state_dict().items():
        assert torch.equal(found.average.state_dict()[key], tensor)
    state, other = (server.generator_optimizer.state_dict() for server in (wanted, found))
    assert state["param_groups"] == other["param_groups"]
    assert state["state"].keys() == other["state"].keys()
    for index, entry in state["state"].items():
        assert entry.keys() == other["state"][index].keys()
        for key, value in entry.items():
            assert torch.equal(torch.as_tensor(other["state"][index][key]), torch.as_tensor(value))
    assert found.ladder == wanted.ladder
    assert (found.run, found.round) == (wanted.run, wanted.round)
    if wanted.target is not None:
        assert torch.equal(found.target.means, wanted.target.means)  # type: ignore[union-attr]
        assert torch.equal(found.target.counts, wanted.target.counts)  # type: ignore[union-attr]
        assert found.target.noise_std == wanted.target.noise_std  # type: ignore[union-attr]
    assert (found.target is None) == (wanted.target is None)
    assert found.unfitted == wanted.unfitted


def test_round_trip(trained: Server, make_server: Callable[..., Server], warm_start: WarmStart, tmp_path: Path) -> None:
    assert trained.ladder.rung > 0
    card = save_checkpoint(trained, tmp_path, HEADS)
    server = fresh(make_server, warm_start, run="another")
    assert load_checkpoint(server, card) == HEADS
    assert_equal(server, trained)


def test_a_loaded_server_goes_on_as_the_saved_one_would(
    trained: Server,
    make_server: Callable[..., Server],
    make_vault: Callable[..., Vault],
    warm_start: WarmStart,
    tmp_path: Path,
) -> None:
    server = fresh(make_server, warm_start)
    load_checkpoint(server, save_checkpoint(trained, tmp_path, HEADS))
    vault = make_vault(level="none", algorithm="dp_fedavg_gan")
    for each in (trained, server):
        each.absorb_round([vault.train(each.train_request())], {}, records=48)
    assert_equal(server, trained)


def test_without_a_warm_start(make_server: Callable[..., Server], tmp_path: Path) -> None:
    saved, server = fresh(make_server, None), fresh(make_server, None, run="another")
    load_checkpoint(server, save_checkpoint(saved, tmp_path, {}))
    assert_equal(server, saved)


def test_between_embedding_and_fit(
    make_server: Callable[..., Server], make_vault: Callable[..., Vault], warm_start: WarmStart, tmp_path: Path
) -> None:
    saved, server = (fresh(make_server, warm_start) for _ in range(2))
    release = make_vault().embed(saved.embed_request())
    saved.absorb_embeddings([release], refused={"00001": "failed"}, records={"00000": 48})
    saved.finish_embeddings()
    card = save_checkpoint(saved, tmp_path, HEADS)
    load_checkpoint(server, card)
    assert_equal(server, saved)
    assert server.unfitted is not None
    assert server.unfitted.heads == {"00000": release.head}
    for each in (saved, server):
        each.fit()
    assert_equal(server, saved)
    later = save_checkpoint(server, tmp_path, HEADS)
    assert card.exists()  # never replaced, only followed
    assert latest_checkpoint(tmp_path) == later != card


def test_the_last_three_are_kept(trained: Server, tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for number in (0, 1, 2, 9, 10, 11):
        trained.round = number
        save_checkpoint(trained, tmp_path, HEADS)
    names = sorted(path.name for path in tmp_path.iterdir())
    rounds = ("round-00009", "round-00010", "round-00011")
    assert names == sorted(f"{name}.{kind}" for name in rounds for kind in ("json", "safetensors"))
    assert latest_checkpoint(tmp_path) == tmp_path / "round-00011.json"


def test_weights_without_a_card_are_no_checkpoint(trained: Server, tmp_path: Path) -> None:
    whole = save_checkpoint(trained, tmp_path, HEADS)
    trained.round += 1
    save_checkpoint(trained, tmp_path, HEADS).unlink()  # as a crash between the two files leaves it
    assert latest_checkpoint(tmp_path) == whole


def change_weights(card: Path) -> None:
    path = card.with_suffix(".safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut_weights(card: Path) -> None:
    path = card.with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:100])


def edit(**changes: object) -> Callable[[Path], None]:
    return lambda card: card.write_text(json.dumps({**json.loads(card.read_text()), **changes})) and None


def drop(key: str) -> Callable[[Path], None]:
    def apply(card: Path) -> None:
        facts = json.loads(card.read_text())
        del facts[key]
        card.write_text(json.dumps(facts))

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        change_weights,
        cut_weights,
        lambda card: card.with_suffix(".safetensors").unlink(),
        lambda card: card.write_text(card.read_text()[:50]),
        lambda card: card.write_bytes(b"\xff\xfe"),
        lambda card: card.write_text("[]"),
        edit(version=2),
        edit(extra=1),
        edit(sha256="0" * 64),
        edit(sha256=5),
        edit(ladder={"rungs": 5}),
        edit(ladder={"unknown": 5}),
        edit(ladder=asdict(Ladder()) | {"rung": 99}),
        edit(ladder=asdict(Ladder()) | {"rung": "high"}),
        edit(round="two"),
        edit(round=-1),
        edit(run=7),
        edit(ledger_heads=[]),
        edit(ledger_heads={"00000": 5}),
        edit(unfitted={"unknown": 5}),
        edit(unfitted=[1]),
        edit(target_noise_std="much"),
        drop("round"),
        drop("ledger_heads"),
    ],
)
def test_damage_is_refused(
    trained: Server,
    make_server: Callable[..., Server],
    warm_start: WarmStart,
    tmp_path: Path,
    damage: Callable[[Path], object],
) -> None:
    card = save_checkpoint(trained, tmp_path, HEADS)
    damage(card)
    with pytest.raises(IntegrityError, match=r"round-00002.*damaged checkpoint"):
        load_checkpoint(fresh(make_server, warm_start), card)


def test_a_checkpoint_of_other_networks_is_refused(
    trained: Server, make_server: Callable[..., Server], make_gan: Callable[..., object], tmp_path: Path
) -> None:
    card = save_checkpoint(trained, tmp_path, HEADS)
    other = make_gan()
    other.generator = torch.nn.Linear(2, 2)  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match="damaged checkpoint"):
        load_checkpoint(make_server(gan=other), card)


def test_facts_can_be_read_alone(trained: Server, tmp_path: Path) -> None:
    facts = read_facts(save_checkpoint(trained, tmp_path, HEADS))
    assert (facts["round"], facts["run"], facts["ledger_heads"]) == (2, "run-1", HEADS)
