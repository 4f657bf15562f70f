"""The feature families of the warm start: chosen by name, charged alike, refused where a site does not know them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.audit.budget import audit_budget
from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.requests import EmbedRequest, Refusal
from fedgan.federation.vault import Vault
from fedgan.training.warm_start import FAMILIES

MakeVault = Callable[..., Vault]


@pytest.mark.privacy
@pytest.mark.parametrize("family", [*FAMILIES.names(), "windows,wavelets"])
def test_a_release_of_any_family_is_charged_alike(
    tiny_config: Callable[..., Config], run: Callable[..., Any], tmp_path: Path, family: str
) -> None:
    config = tiny_config(f"training.warm_start_family={family!r}", "federation.rounds=1")
    run(config, tmp_path / "run")
    report = audit_budget(sorted((tmp_path / "run" / "ledgers").glob("*.jsonl")), delta=1e-4, accountant="rdp")
    assert [client.charges for client in report.clients] == [2] * 3
    assert 0.97 * 10 < report.epsilon <= 10


@pytest.mark.privacy
@pytest.mark.parametrize(
    "asked",
    [
        EmbedRequest("run-1", 8, 1, family="mean"),
        EmbedRequest("run-1", 8, 1, family=""),
        EmbedRequest("run-1", 7, 1),
        EmbedRequest("run-1", 0, 1),
        EmbedRequest("run-1", -2, 1, family="convolutions"),
        EmbedRequest("run-1", 8, 1, family="windows,windows"),
        EmbedRequest("run-1", 8, 1, family="windows,mean"),
    ],
)
def test_a_site_refuses_features_that_it_has_not_uncharged(
    make_vault: MakeVault, tmp_path: Path, asked: EmbedRequest
) -> None:
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault().embed(asked)
    assert not (tmp_path / "ledgers").exists()


@pytest.mark.parametrize("key", ["training.warm_start_family", "training.warm_start_refinement_family"])
def test_an_unknown_family_is_named(
    tiny_config: Callable[..., Config], run: Callable[..., Any], tmp_path: Path, key: str
) -> None:
    with pytest.raises(UsageError, match=rf"{key} = .*convolutions") as caught:
        run(tiny_config(f"{key}='convolution'"), tmp_path / "run")
    assert caught.value.key == key
    assert not (tmp_path / "run").exists()
