"""The vault behind its socket gives what a vault gives, and refuses what its site does not allow, in so many codes."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fedgan.audit.budget import audit_budget
from fedgan.audit.verify import verify
from fedgan.config import Config, flatten
from fedgan.data import ImageDataset
from fedgan.errors import UsageError
from fedgan.federation.components import training_of
from fedgan.federation.daemon import remote
from fedgan.federation.daemon.refusals import Refusals
from fedgan.federation.daemon.remote import RemoteVault
from fedgan.federation.daemon.service import VaultService, listen
from fedgan.federation.daemon.site import SiteFolder, load_site
from fedgan.federation.daemon.vaults import SiteVaults
from fedgan.federation.daemon.wire import Asked, encode
from fedgan.federation.deploy.certificates import new_key, node_key_pair
from fedgan.federation.planning import plan_of
from fedgan.federation.requests import Description, Refusal, Release, TrainRequest
from fedgan.federation.server_setup import server_of
from fedgan.federation.vault import Vault
from fedgan.privacy import ledger_clock
from fedgan.privacy.ledger import read_ledger

pytestmark = pytest.mark.privacy

Configure = Callable[..., Config]
Serve = Callable[[Config], RemoteVault]
SHAPE = (1, 8, 8)
SECRET = "patient Jane 4711"


def train_request(config: Config, **changes: Any) -> TrainRequest:
    server = server_of(config, [Description("00000", 48, SHAPE, 4)])
    return replace(server.train_request(), run="run-1", **changes)


def refusals(site: SiteFolder) -> list[dict[str, str]]:
    return [json.loads(line) for line in site.refusals.read_text().splitlines()]


def charges(site: SiteFolder) -> int:
    if not site.ledger.exists():
        return 0
    return sum(line.event is not None for line in read_ledger(site.ledger))


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def test_a_release_of_learned_features_is_charged_behind_the_socket(
    serve: Serve, configure: Configure, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedgan.training.warm_start.classifier.LEARNING_STEPS", 2)
    settings = ("training.warm_start_steps=2", "federation.rounds=0", "privacy.epsilon=5")
    config = configure("training.warm_start_stages=2", *settings)
    server, vault = server_of(config, [Description("00000", 48, SHAPE, 4)]), serve(config)
    for charged in (1, 2):
        assert server.learn() == (charged == 2)
        request = server.embed_request()
        release = vault.embed(request)
        assert server.absorb_embeddings([release], refused={}, records={"00000": 48}).refused == {}
        server.finish_embeddings()
        assert charges(site) == charged
        assert vault.embed(request).arrays.keys() == {"embedding"}  # again: the same, for nothing
        assert charges(site) == charged
    assert request.family == "learned"
    assert not server.embeddings_pending
    assert 4.85 < audit_budget([site.ledger], delta=1e-3, accountant="rdp").epsilon <= 5
    wrong = replace(request, arrays={**request.arrays, "centre": np.full(128, np.nan, np.float32)})
    assert refused(lambda: vault.embed(wrong)) == Refusal.BAD_REQUEST
    assert charges(site) == 2


def test_without_privacy_the_socket_changes_no_bit(
    serve: Serve, configure: Configure, records: ImageDataset, site: SiteFolder
) -> None:
    config = configure("privacy.level='none'")
    vault = Vault(
        "00000",
        records,
        plan=plan_of(config, records=48, everybody=48),
        ledger=site.path / "other.jsonl",
        lifetime_epsilon=10,
        training=training_of(config, SHAPE, 4),
        seed=config.seed,
    )
    request = train_request(config)
    wanted, found = vault.train(request), serve(config).train(request)
    assert replace(found, arrays={}) == replace(wanted, arrays={})
    assert found.arrays.keys() == wanted.arrays.keys()
    for name, array in wanted.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_a_release_carries_the_ledger_it_was_charged_to(serve: Serve, configure: Configure, site: SiteFolder) -> None:
    config = configure()
    release = serve(config).train(train_request(config))
    assert release.ledger == site.ledger.read_text()
    assert read_ledger(site.ledger)[-1].hash == release.head
    assert serve(config).describe() == Description("00000", 48, SHAPE, 4, release.ledger)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (("privacy.epsilon=200",), "the noise multiplier of the warm start is 0."),
        (("privacy.epsilon=60", "training.warm_start='none'"), "the noise multiplier of the steps is 0."),
        (("federation.local_steps=5",), "federation.local_steps = 5 is over 4"),
        (("privacy.clip=1.5",), "privacy.clip = 1.5 is over 1"),
        (("privacy.delta=0.01",), "privacy.delta = 0.01 is over 0.001"),
        (("training.warm_start_features=2000000",), "training.warm_start_features = 2000000 make 72001"),
        (
            ("federation.algorithm=fedsgd", "federation.local_steps=1", "privacy.trust=aggregator"),
            "privacy.trust = 'aggregator' is not among local",
        ),
        (
            ("federation.algorithm=dp_fedavg_gan", "privacy.level=client", "privacy.trust=aggregator"),
            "privacy.level = 'client' is not among record, none",
        ),
    ],
    ids=["noise-warm-start", "noise-steps", "steps", "clip", "delta", "features", "trust", "level"],
)
def test_what_the_policy_forbids_is_refused_recorded_and_not_charged(
    serve: Serve, configure: Configure, site: SiteFolder, settings: tuple[str, ...], reason: str
) -> None:
    config = configure(*settings)
    assert refused(lambda: serve(config).train(train_request(config))) == Refusal.AGAINST_POLICY
    assert reason in refusals(site)[-1]["reason"]
    assert refusals(site)[-1]["code"] == Refusal.AGAINST_POLICY
    assert charges(site) == 0


def test_networks_that_no_machine_could_hold_are_refused_before_they_are_built(
    serve: Serve, configure: Configure, site: SiteFolder
) -> None:
    request = train_request(configure())
    for width, code in (("10000000", Refusal.AGAINST_POLICY), (str(2**70), Refusal.BAD_REQUEST)):
        vault = serve(configure(f"model.width={width}"))
        assert refused(lambda vault=vault: vault.train(request)) == code  # type: ignore[misc]
        assert refusals(site)[-1]["reason"].startswith(f"model.width = {width}")
    assert charges(site) == 0


def test_a_request_larger_than_the_networks_that_the_site_allows_is_refused(
    configure: Configure, site: SiteFolder
) -> None:
    config = configure()
    weights = 1845  # of these networks and features: just allowed
    site.config.write_text(site.config.read_text().replace("[policy]", f"[policy]\nmost_weights = {weights}"))
    server = listen(VaultService(SiteVaults(site, load_site(site)), Refusals(site.refusals)), site.socket)
    channel = grpc.insecure_channel(f"unix:{site.socket}")
    try:
        assert RemoteVault(str(site.socket), flatten(config.model_dump())).train(train_request(config)).head
        most = 4 * weights + 2**20
        for size, code in ((most, Refusal.BAD_REQUEST), (most + 1, Refusal.AGAINST_POLICY)):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/fedgan.Vault/Train")(bytes(size))
            assert caught.value.details() == code
        assert refusals(site)[-1]["reason"] == f"the request has {most + 1} bytes, over {most}"
    finally:
        channel.close()
        server.stop(None).wait()
    assert charges(site) == 1


def test_a_site_builds_and_counts_an_auxiliary_classifiers_head(configure: Configure, site: SiteFolder) -> None:
    config, weights = configure("loss.auxiliary_weight=1"), 1845 + 4 * 4 + 4  # 4 features, 4 classes
    settings = site.config.read_text()
    for most in (weights - 1, weights):
        site.config.write_text(settings.replace("[policy]", f"[policy]\nmost_weights = {most}"))
        server = listen(VaultService(SiteVaults(site, load_site(site)), Refusals(site.refusals)), site.socket)
        vault = RemoteVault(str(site.socket), flatten(config.model_dump()))
        try:
            if most < weights:
                assert refused(lambda vault=vault: vault.train(train_request(config))) == Refusal.AGAINST_POLICY  # type: ignore[misc]
                assert f"make {weights} weights, over {most}" in refusals(site)[-1]["reason"]
            else:
                assert vault.train(train_request(config)).arrays["discriminator/classes.weight"].shape == (4, 4)
        finally:
            server.stop(None).wait()
    assert charges(site) == 1


def test_sums_without_noise_are_not_rounded_whatever_the_server_says(configure: Configure, site: SiteFolder) -> None:
    site.config.write_text(site.config.read_text().replace("[policy]", '[policy]\ntrusts = ["aggregator"]'))
    server = listen(VaultService(SiteVaults(site, load_site(site)), Refusals(site.refusals)), site.socket)
    summed = ("federation.algorithm=fedsgd", "federation.local_steps=1", "privacy.trust=aggregator")
    config = configure(*summed, "federation.compression=int8")
    try:
        vault = RemoteVault(str(site.socket), flatten(config.model_dump()))
        assert refused(lambda: vault.train(train_request(config))) == Refusal.BAD_REQUEST
    finally:
        server.stop(None).wait()
    assert "rounding a sum before the noise" in refusals(site)[-1]["reason"]
    assert charges(site) == 0


def test_an_algorithm_that_the_site_struck_out_is_refused(configure: Configure, site: SiteFolder) -> None:
    settings = site.config.read_text().replace("[policy]", "[policy]\nalgorithms = ['fedsgd']")
    site.config.write_text(settings)
    config = configure()
    server = listen(VaultService(SiteVaults(site, load_site(site)), Refusals(site.refusals)), site.socket)
    try:
        vault = RemoteVault(str(site.socket), {"federation.algorithm": "fedgan"})
        assert refused(lambda: vault.train(train_request(config))) == Refusal.AGAINST_POLICY
    finally:
        server.stop(None).wait()
    assert charges(site) == 0


def test_more_steps_than_the_configuration_says_are_refused(
    serve: Serve, configure: Configure, site: SiteFolder
) -> None:
    config = configure("federation.local_steps=2")
    assert refused(lambda: serve(config).train(train_request(config, steps=3))) == Refusal.BAD_REQUEST
    assert charges(site) == 0


def test_the_budget_for_life_outlives_runs_and_configurations(
    serve: Serve, configure: Configure, site: SiteFolder
) -> None:
    config = configure("training.warm_start='none'")
    vault = serve(config)
    for number in (1, 2, 3):
        vault.train(train_request(config, round=number))
    assert charges(site) == 3
    assert refused(lambda: vault.train(train_request(config, round=4))) == Refusal.BUDGET_SPENT
    generous = configure("training.warm_start='none'", "privacy.lifetime_epsilon=1000", "federation.rounds=100")
    request = replace(train_request(generous), run="run-2")
    with pytest.raises(Refusal) as caught:
        for number in range(1, 101):
            serve(generous).train(replace(request, round=number))
    assert caught.value.code == Refusal.BUDGET_SPENT
    assert refusals(site)[-1]["code"] == Refusal.BUDGET_SPENT
    assert 9 < audit_budget([site.ledger], delta=1e-3, accountant="rdp").epsilon <= 10


def test_asked_again_it_answers_again_without_a_charge(serve: Serve, configure: Configure, site: SiteFolder) -> None:
    config = configure()
    request = train_request(config)
    first, again = serve(config).train(request), serve(config).train(request)
    assert charges(site) == 1
    assert again.head == first.head
    assert all((again.arrays[name] == first.arrays[name]).all() for name in first.arrays)


@pytest.mark.parametrize("method", ["Records", "Evaluate", "../Train", ""])
def test_what_a_vault_does_not_offer_is_recorded(serve: Serve, site: SiteFolder, method: str) -> None:
    channel = grpc.insecure_channel(f"unix:{site.socket}")
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/fedgan.Vault/{method}")(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert refusals(site)[-1]["reason"] == "this vault has no such method"
    channel.close()


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\xff" * 64, b"\x80\x04\x95."], ids=["nothing", "junk", "length", "pickle"]
)
def test_junk_is_a_bad_request(serve: Serve, site: SiteFolder, content: bytes) -> None:
    channel = grpc.insecure_channel(f"unix:{site.socket}")
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/fedgan.Vault/Train")(content)
    assert caught.value.details() == Refusal.BAD_REQUEST
    assert charges(site) == 0
    channel.close()


def test_the_text_of_an_error_stays_at_the_site(
    serve: Serve, configure: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(SiteVaults, "describe", fail)
    with caplog.at_level(logging.ERROR), pytest.raises(Refusal) as caught:
        serve(configure()).describe()
    assert caught.value.code == Refusal.FAILED
    assert SECRET not in str(caught.value.__context__)
    assert SECRET in caplog.text  # it is this process that is the site's


def test_an_answer_far_larger_than_its_request_is_not_read(
    serve: Serve, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure()
    request = train_request(config)
    assert serve(config).train(request).arrays.keys() == request.arrays.keys()
    monkeypatch.setattr(remote, "_ROOM_BYTES", -len(encode(request)))  # room for the request's own size alone
    grown = {name: np.tile(array, 4) for name, array in request.arrays.items()}
    monkeypatch.setattr(SiteVaults, "train", lambda *_: Release("00000", 1, grown))
    assert refused(lambda: serve(config).train(request)) == Refusal.FAILED


def test_only_its_owner_may_open_the_socket(serve: Serve, site: SiteFolder) -> None:
    assert stat.S_IMODE(site.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.private.stat().st_mode) == 0o700


def test_a_folder_open_to_others_is_refused(site: SiteFolder) -> None:
    service = VaultService(SiteVaults(site, load_site(site)), Refusals(site.refusals))
    site.private.chmod(0o750)
    with pytest.raises(UsageError, match="open to others"):
        listen(service, site.socket)


def test_a_path_too_long_for_a_socket_is_refused(site: SiteFolder) -> None:
    service = VaultService(SiteVaults(site, load_site(site)), Refusals(site.refusals))
    with pytest.raises(UsageError, match="at most 107 bytes"):
        listen(service, site.private / ("x" * 100) / "socket")


def test_a_clock_behind_the_ledger_has_its_own_code_and_the_site_reads_why(
    serve: Serve, configure: Configure, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC) + timedelta(days=1)

    config = configure("training.warm_start='none'")
    vault = serve(config)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_clock, "datetime", Tomorrow)
        vault.train(train_request(config))
    before = site.ledger.read_bytes()
    assert refused(lambda: vault.train(train_request(config, round=2))) == Refusal.CLOCK_BEHIND
    (refusal,) = refusals(site)
    assert refusal["code"] == "clock_behind"
    assert refusal["reason"].startswith(f"{site.ledger}: the last line of client 00000 was written at ")
    assert site.ledger.read_bytes() == before


# Signatures


def with_key(site: SiteFolder, key: ec.EllipticCurvePrivateKey) -> SiteVaults:
    """Return the vaults of the site after it was given `key` to sign with."""
    private, public = node_key_pair(key)
    site.key.write_bytes(private)
    site.public_key.write_bytes(public)
    if "sign_key" not in site.config.read_text():
        site.config.write_text('sign_key = "node.key"\n' + site.config.read_text())
    return SiteVaults(site, load_site(site))


def test_a_site_signs_its_ledger_and_shows_the_signature(serve: Serve, configure: Configure, site: SiteFolder) -> None:
    """A ledger that was begun without goes on signed, and then no longer without."""
    config, key = configure("training.warm_start='none'"), new_key()
    asked = Asked(flatten(config.model_dump()))
    unsigned = SiteVaults(site, load_site(site))
    assert unsigned.train(train_request(config), asked).signature == ""
    vaults = with_key(site, key)
    vaults.check_ledger()
    release = vaults.train(train_request(config, round=2), asked)
    assert release.signature == site.ledger.with_suffix(".sig").read_text() == vaults.describe().signature
    report = verify([site.ledger], public_key=site.public_key)
    assert (report.intact, [signed["line"] for signed in report.signed]) == (True, [3])
    for refusing in (unsigned, with_key(site, new_key())):
        with pytest.raises(UsageError, match=r"ledger.jsonl is signed"):
            refusing.check_ledger()
        with pytest.raises(UsageError, match=r"ledger.jsonl is signed"):
            refusing.train(train_request(config, round=3), asked)
    assert charges(site) == 2


@pytest.mark.parametrize("key", ["none.key", "client.toml"])
def test_a_key_that_is_none_ends_the_vault_before_it_serves(site: SiteFolder, key: str) -> None:
    site.config.write_text(f'sign_key = "{key}"\n' + site.config.read_text())
    with pytest.raises(UsageError, match=f"sign_key.*{key}"):
        SiteVaults(site, load_site(site))
