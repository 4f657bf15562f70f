"""`fedgan simulate`: a whole federation on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgan.cli.console import format_epsilon, new_table, print_json, say, show, stderr, stdout
from fedgan.cli.options import JsonOption, SetOption
from fedgan.cli.scores import format_score, legend, score_table
from fedgan.config import Config, load_config, naming_places, to_toml
from fedgan.errors import UsageError
from fedgan.runs import RunFolder

if TYPE_CHECKING:
    from fedgan.federation.simulation import Outcome


_COLUMNS = 2
"""As many scores stand beside the budgets on 80 characters; more get a table of their own."""


class EngineName(StrEnum):
    """What carries the messages."""

    local = "local"
    flower = "flower"


def simulate(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="TOML file; see configs/.")] = None,
    overrides: SetOption = None,
    output: Annotated[Path | None, typer.Option(help="Run folder; default runs/CONFIG-TIME.")] = None,
    engine: Annotated[
        EngineName, typer.Option(help="local: in this process; flower: Flower's Ray simulation.")
    ] = EngineName.local,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")] = False,
    sign_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private EC key that signs the ledgers, as a SuperNode's.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a federation on one machine, and show what it made and what it cost."""
    settings, path = _settings(config, overrides or [], output, resume=resume)
    from fedgan.cli.progress import RunProgress
    from fedgan.federation import simulation
    from fedgan.federation.assessment import assess, what_is_read
    from fedgan.privacy.plan import warnings
    from fedgan.report.partition_picture import partition_picture

    begun = monotonic()
    with naming_places(RunFolder(path).config if resume else config, [] if resume else overrides or []):
        folder, sites = simulation.prepare(settings, path, resume=resume, sign_key=sign_key)
    silent = quiet or as_json
    partition_picture(sites.class_counts(), folder.path / "partition.png")
    if not silent:
        say(f"{len(sites)} clients, {len(sites.data.train)} records; run folder {folder.path}")
    if settings.privacy.level != "none":
        with stderr.status("calibrating noise") if not silent else _Quiet():
            for line in warnings(sites.plan(sites.smallest)):
                say(f"warning: {line}")
    with RunProgress(folder, rounds=settings.federation.rounds, seed=settings.seed, quiet=silent) as progress:
        outcome = simulation.simulate(settings, folder, sites, engine=engine.value, resume=resume, observer=progress)
    _draw_budget(settings, outcome)
    with stderr.status("evaluating") if not silent else _Quiet():
        scores = assess(folder, sites.data.test, settings.evaluation.metrics)
    summary = _summary(outcome, scores, monotonic() - begun)
    real = what_is_read(settings.data.name, len(sites.data.test))
    if as_json:
        print_json(summary)
    elif not quiet:
        _print(summary, legend(scores, generated=settings.evaluation.count, real=real))


def _draw_budget(settings: Config, outcome: Outcome) -> None:
    """Draw what the ledgers say that each client had spent after each round; a run without privacy has no budget."""
    if outcome.budget is None:
        return
    from fedgan.audit.curve import spent_by_round
    from fedgan.report.budget_curve import budget_curve

    spent = spent_by_round(outcome.ledgers, accountant=settings.privacy.accountant)
    if spent.note:
        say(f"budget.png: {spent.note}")
    limit = settings.privacy.lifetime_epsilon or settings.privacy.epsilon
    budget_curve(spent.epsilons, outcome.folder.budget_picture, limit=limit)


@dataclass
class _Quiet:
    """Stands in for a status line."""

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None: ...


def _settings(config: Path | None, overrides: list[str], output: Path | None, *, resume: bool) -> tuple[Config, Path]:
    """Return the configuration and the run folder's path."""
    if not resume:
        settings = load_config(config, overrides)
        name = config.stem if config else "defaults"
        return settings, output or Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    if output is None:
        raise UsageError("--resume needs --output: the folder of the run to continue")
    saved = load_config(RunFolder.of_run(output).config)
    if config is None and not overrides:
        return saved, output
    given = load_config(config or RunFolder.open(output).config, overrides)
    if given != saved:
        pairs = zip(to_toml(saved).splitlines(), to_toml(given).splitlines(), strict=True)
        old, new = next((old, new) for old, new in pairs if old != new)
        raise UsageError(f"--resume: {new} differs from the run's own {old}; leave CONFIG and --set out to continue it")
    return saved, output


def _summary(outcome: Outcome, scores: dict[str, float], seconds: float) -> dict[str, Any]:
    budget = outcome.budget
    spent = {client.client: client for client in budget.clients} if budget else {}
    return {
        "run": str(outcome.folder.path),
        "seconds": round(seconds, 1),
        "stopped": outcome.stopped,
        "level": budget.level if budget else "none",
        "epsilon": budget.epsilon if budget else None,
        "delta": budget.delta if budget else None,
        "metrics": scores,
        "clients": [
            {
                "client": client,
                "records": records,
                "epsilon": spent[client].epsilon if client in spent else (0.0 if budget else None),
                "delta": spent[client].delta if client in spent else (budget.delta if budget else None),
            }
            for client, records in outcome.records.items()
        ],
    }


def _print(summary: dict[str, Any], meaning: str) -> None:
    scores = summary["metrics"]
    columns = list(scores) if len(scores) <= _COLUMNS else []
    table = new_table("client", "records", "epsilon", "delta", *columns)
    rows = summary["clients"]
    for row in rows if len(rows) <= 20 else []:
        table.add_row(row["client"], str(row["records"]), *_cost(row), *("" for _ in columns))
    table.add_section()
    total = str(sum(row["records"] for row in rows))
    table.add_row("all", total, *_cost(summary), *(format_score(name, scores[name]) for name in columns))
    stdout.print(table)
    if not columns:
        stdout.print(score_table(scores))
    folder = Path(summary["run"])
    show(meaning)
    if summary["stopped"]:
        show(f"stopped early: {summary['stopped']}")
    last = max((folder / "samples").glob("*.png"), default=None)
    show(f"samples: {last}\nrun folder: {folder} ({summary['seconds']} s)")
    if summary["level"] != "none":
        show(f"recompute the budget: fedgan audit budget {folder}")


def _cost(row: dict[str, Any]) -> tuple[str, str]:
    if row["epsilon"] is None:
        return "no privacy", ""
    return format_epsilon(row["epsilon"]), f"{row['delta']:g}"
