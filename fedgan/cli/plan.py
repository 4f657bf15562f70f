"""`fedgan plan`: what a run would cost, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgan.cli.console import format_epsilon, new_table, print_json, say, show, stdout
from fedgan.cli.options import ConfigArgument, JsonOption, SetOption
from fedgan.config import Config, load_config, naming_places

if TYPE_CHECKING:
    from fedgan.federation.forecast import Forecast

_SHOWN = 20


def plan(config: ConfigArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Show epsilon, noise, rounds, bytes and expected time of a run without running it."""
    settings = load_config(config, overrides or [])
    from fedgan.federation.forecast import forecast
    from fedgan.federation.simulation import check
    from fedgan.privacy.plan import warnings

    with naming_places(config, overrides or []):
        sites = check(settings, Path())
        costs = forecast(settings, sites)
    for line in sorted({line for one in costs.plans.values() for line in warnings(one)}):
        say(f"warning: {line}")
    if as_json:
        print_json(_document(settings, costs))
    else:
        _print(settings, costs)


def _rows(costs: Forecast) -> list[dict[str, Any]]:
    return [
        {
            "client": client,
            "records": one.records,
            "probability": one.probability,
            "steps": one.steps_per_round * one.participations,
            "warm_start_noise": one.warm_start_noise,
            "noise_multiplier": one.noise_multiplier,
            "epsilon": one.planned_epsilon() if one.level != "none" else None,
        }
        for client, one in costs.plans.items()
    ]


def _document(settings: Config, costs: Forecast) -> dict[str, Any]:
    rows = _rows(costs)
    private = settings.privacy.level != "none"
    return {
        "level": settings.privacy.level,
        "trust": settings.privacy.trust if private else None,
        "epsilon": max(row["epsilon"] for row in rows) if private else None,
        "delta": settings.privacy.delta if private else None,
        "accountant": settings.privacy.accountant if private else None,
        "rounds": settings.federation.rounds,
        "clients_a_round": costs.clients_a_round,
        "participations": costs.participations,
        "bytes_down": costs.bytes_down,
        "bytes_up": costs.bytes_up,
        "embedding_bytes": costs.embedding_bytes,
        "expected_seconds": round(costs.seconds, 1),
        "clients": rows,
    }


def _print(settings: Config, costs: Forecast) -> None:
    table = new_table("client", "records", "rate", "steps", "noise: warm start", "noise: step", "epsilon")
    rows = _rows(costs)
    for row in rows[:_SHOWN]:
        epsilon = "no privacy" if row["epsilon"] is None else format_epsilon(row["epsilon"])
        noises = (f"{row[name]:.3f}" for name in ("warm_start_noise", "noise_multiplier"))
        table.add_row(
            row["client"], str(row["records"]), f"{row['probability']:.4f}", str(row["steps"]), *noises, epsilon
        )
    stdout.print(table)
    if len(rows) > _SHOWN:
        show(f"... and {len(rows) - _SHOWN} more clients; --json lists them all")
    federation = settings.federation
    show(
        f"{federation.rounds} rounds, {costs.clients_a_round} of {len(rows)} clients a round, "
        f"each at most {costs.participations} times"
    )
    show(
        f"{costs.bytes_down / 1e6:.2f} MB down and {costs.bytes_up / 1e6:.2f} MB up a client and round, "
        f"{costs.embedding_bytes / 1e6:.2f} MB for the warm start"
    )
    show(f"about {costs.seconds:.0f} s on this machine, from a few timed steps")
    if settings.privacy.level != "none":
        show(f"delta {settings.privacy.delta:g}; noise in units of the clip; records at several clients add up")
