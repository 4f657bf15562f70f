"""One ledger charged at both levels: each charge counts as what it did to the presence that is hidden now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedgan.federation.requests import Refusal, TrainRequest
from fedgan.federation.server import Server
from fedgan.federation.vault import Vault
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.levels import events_at

pytestmark = pytest.mark.privacy

MakeVault = Callable[..., Vault]
CLIENT = {"level": "client", "trust": "aggregator", "algorithm": "dp_fedavg_gan", "clients": 20, "probability": 0.25}


@pytest.fixture
def request_of(make_server: Callable[..., Server]) -> Callable[[], TrainRequest]:
    return lambda: make_server(algorithm="dp_fedavg_gan").train_request()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "client-00000.jsonl"


def take_part(vault: Vault, request: TrainRequest) -> None:
    try:
        vault.train(request)
    except Refusal as refusal:
        if refusal.code != Refusal.SITS_OUT:  # it is charged whatever its coin says
            raise


def test_after_a_charge_for_a_record_no_budget_hides_a_client(
    make_vault: MakeVault, request_of: Callable[[], TrainRequest], ledger: Path
) -> None:
    make_vault(algorithm="dp_fedavg_gan", participations=1, warm_start_share=0.0).train(request_of())
    content = ledger.read_bytes()
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        make_vault(**CLIENT, warm_start_share=0.0, lifetime_epsilon=1e6).train(request_of())
    assert ledger.read_bytes() == content


def test_charges_for_a_client_count_in_full_for_a_record(
    make_vault: MakeVault, request_of: Callable[[], TrainRequest], ledger: Path
) -> None:
    take_part(make_vault(**CLIENT, participations=3, warm_start_share=0.0), request_of())
    wanted = make_vault(algorithm="dp_fedavg_gan", participations=3, warm_start_share=0.0)
    charged, due = read_ledger(ledger)[1:], wanted._plan.round_event(4)
    as_charged, as_counted = (
        epsilon([*events, due], delta=1e-3, accountant="rdp")
        for events in ([line.event for line in charged if line.event], events_at("record", charged))
    )
    limit = (as_charged + as_counted) / 2
    assert as_charged < limit - 0.5 < limit + 0.5 < as_counted
    content = ledger.read_bytes()
    with pytest.raises(Refusal, match=Refusal.BUDGET_SPENT):
        make_vault(algorithm="dp_fedavg_gan", participations=3, warm_start_share=0.0, lifetime_epsilon=limit).train(
            request_of()
        )
    assert ledger.read_bytes() == content
