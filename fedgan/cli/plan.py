"""`fedgan plan`: what a run would cost, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgan.cli.console import print_json, say
from fedgan.cli.options import ConfigArgument, JsonOption, SetOption, check_png
from fedgan.config import Config, load_config, naming_places
from fedgan.errors import UsageError

if TYPE_CHECKING:
    from fedgan.federation.forecast import Forecast
    from fedgan.federation.scale import Scaled


def plan(
    config: ConfigArgument,
    overrides: SetOption = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw epsilon by round.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show epsilon, noise, rounds, bytes and expected time of a run without running it."""
    settings = load_config(config, overrides or [])
    if plot is not None:
        _check_plot(plot, settings)
    from fedgan.cli.plan_table import print_plan
    from fedgan.federation.forecast import forecast
    from fedgan.federation.machine import is_here
    from fedgan.federation.scale import scaled
    from fedgan.federation.simulation import check
    from fedgan.privacy.plan import warnings

    timed = is_here(settings.device)
    if not timed:  # budgets and bytes are the same on any device
        settings = settings.model_copy(update={"device": "cpu"})
    with naming_places(config, overrides or []):
        sites = check(settings, Path())
        costs = forecast(settings, sites, timed=timed)
        sizes = scaled(settings, sites, costs)
    for line in sorted({line for one in costs.plans.values() for line in warnings(one)}):
        say(f"warning: {line}")
    document = _document(settings, costs, sizes)
    if plot is not None:
        _draw(plot, settings, costs)
    if as_json:
        print_json(document)
    else:
        print_plan(document)


def _rows(costs: Forecast) -> list[dict[str, Any]]:
    return [
        {
            "client": client,
            "records": one.records,
            "probability": one.probability,
            "steps": one.steps_per_round * one.participations,
            "warm_start_noise": one.warm_start_noise,
            "noise_multiplier": one.noise_multiplier,
            "warm_start_epsilon": one.warm_start_epsilon() if one.level != "none" else None,
            "epsilon": one.planned_epsilon() if one.level != "none" else None,
        }
        for client, one in costs.plans.items()
    ]


def _document(settings: Config, costs: Forecast, sizes: tuple[Scaled, ...]) -> dict[str, Any]:
    from fedgan.privacy.curve import spacing

    rows = _rows(costs)
    private = settings.privacy.level != "none"
    worst = max(rows, key=lambda row: row["epsilon"] or 0.0)
    every = spacing(costs.participations + 1, 1)
    return {
        "level": settings.privacy.level,
        "trust": settings.privacy.trust if private else None,
        "epsilon": worst["epsilon"],
        "delta": settings.privacy.delta if private else None,
        "accountant": settings.privacy.accountant if private else None,
        "rounds": settings.federation.rounds,
        "clients_asked": costs.clients_asked,
        "clients_a_round": costs.clients_a_round,
        "participations": costs.participations,
        "bytes_down": costs.bytes_down,
        "bytes_up": costs.bytes_up,
        "bytes_a_round": costs.bytes_a_round,
        "embedding_bytes": costs.embedding_bytes,
        "expected_seconds": None if costs.seconds is None else round(costs.seconds, 1),
        "worst_client": worst["client"] if private else None,
        "warm_start_epsilon": worst["warm_start_epsilon"],
        "evaluation_epsilon": settings.privacy.evaluation_epsilon if private else None,
        "warm_start_releases": costs.embeddings,
        "epsilon_by_round": costs.plans[worst["client"]].epsilon_by_round(every=every),
        "epsilon_every": every,
        "clients": rows,
        "other_sizes": [_size(one) for one in sizes],
    }


def _size(one: Scaled) -> dict[str, Any]:
    if one.plan is None:
        return {"clients": one.clients, "reason": one.reason}
    return {
        "clients": one.clients,
        "records": list(one.records),
        "probability": one.plan.probability,
        "warm_start_noise": one.plan.warm_start_noise,
        "noise_multiplier": one.plan.noise_multiplier,
        "epsilon_at_planned_noise": one.epsilon_at_planned_noise,
        "bytes_a_round": one.bytes_a_round,
    }


def _check_plot(plot: Path, settings: Config) -> None:
    check_png("--plot", plot)
    if settings.privacy.level == "none":
        raise UsageError(f"--plot {plot}: at privacy.level = 'none' there is no epsilon to draw")


def _draw(plot: Path, settings: Config, costs: Forecast) -> None:
    from fedgan.privacy.curve import spacing
    from fedgan.report.budget_curve import budget_curve

    every = spacing(costs.participations + 1, len({one.planned_events() for one in costs.plans.values()}))
    if every > 1:
        say(f"{plot}: epsilon was computed after one round in {every}; the others show the next value, a bound above")
    curves = {client: one.epsilon_by_round(every=every) for client, one in costs.plans.items()}
    try:
        budget_curve(curves, plot, limit=settings.privacy.epsilon)
    except OSError as error:
        raise UsageError(f"--plot {plot}: cannot write there: {error.strerror}") from None
