"""`fedgan server`: one run over the sites of a federation on separate machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgan.cli.console import format_epsilon, print_json, say, show
from fedgan.cli.options import JsonOption, SetOption
from fedgan.config import Config, load_config, naming_places
from fedgan.errors import UsageError
from fedgan.runs import RunFolder

if TYPE_CHECKING:
    from fedgan.audit.budget import BudgetReport


def server(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The server's folder, from `fedgan provision`.")],
    output: Annotated[Path, typer.Option(help="Run folder.")],
    config: Annotated[Path | None, typer.Option(metavar="CONFIG", help="TOML file; see configs/.")] = None,
    overrides: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on the way.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Wait for the sites, train with them, and write the run folder as `fedgan simulate` does."""
    from fedgan.audit.budget import audit_budget
    from fedgan.federation.card import read_card
    from fedgan.federation.deploy.server import run_federation
    from fedgan.federation.deploy.server_folder import ServerFolder
    from fedgan.federation.names import check_names

    settings = _settings(config, overrides or [], output, resume=resume)
    run = RunFolder.of_run(output) if resume else RunFolder.unused(output)
    silent = quiet or as_json
    with naming_places(run.config if resume else config, [] if resume else overrides or []):
        check_names(settings)
        stopped = run_federation(
            ServerFolder(folder.absolute()),
            settings,
            run,
            resume=resume,
            say=(lambda text: None) if silent else say,
            on_row=(lambda row: None) if silent else lambda row: say(_line(row, settings)),
        )
    private = settings.privacy.level != "none"
    budget = audit_budget([run.ledgers], accountant=settings.privacy.accountant) if private else None
    summary = _summary(run, stopped, budget, read_card(run)["ledger_faults"])
    if as_json:
        print_json(summary)
    elif not quiet:
        _print(summary)


def _settings(config: Path | None, overrides: list[str], output: Path, *, resume: bool) -> Config:
    if not resume:
        if config is None:
            raise UsageError("--config is missing: give the configuration of the run, or --resume to continue one")
        return load_config(config, overrides)
    if config is not None or overrides:
        raise UsageError("--resume continues with the run's own configuration: leave --config and --set out")
    return load_config(RunFolder.open(output).config)


def _line(row: dict[str, Any], settings: Config) -> str:
    refused = "".join(f"; without {client}: {why}" for client, why in row["refused"].items())
    name = f"round {row['round']} of {settings.federation.rounds}" if row["round"] else "warm start"
    return f"{name}: {len(row['clients'])} sites, {row['seconds']:.1f} s{refused}"


def _summary(
    run: RunFolder, stopped: str, budget: BudgetReport | None, ledger_faults: dict[str, str]
) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "stopped": stopped,
        "ledger_faults": ledger_faults,
        "level": budget.level if budget else "none",
        "epsilon": budget.epsilon if budget else None,
        "delta": budget.delta if budget else None,
        "clients": [
            {"client": client.client, "records": client.records, "epsilon": client.epsilon, "delta": client.delta}
            for client in (budget.clients if budget else ())
        ],
    }


def _print(summary: dict[str, Any]) -> None:
    if summary["stopped"]:
        show(f"stopped early: {summary['stopped']}")
    for client, fault in summary["ledger_faults"].items():
        show(f"client {client}: {fault}; the copy is as of its last release")
    if summary["epsilon"] is not None:
        show(f"epsilon {format_epsilon(summary['epsilon'])} at delta {summary['delta']:g}, level {summary['level']}")
        show(f"recompute it: fedgan audit budget {summary['run']}")
    show(f"run folder: {summary['run']}; score it: fedgan evaluate {summary['run']}")
