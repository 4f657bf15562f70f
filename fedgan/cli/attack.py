"""`fedgan audit attack`: lower bounds on epsilon that attacks prove, beside what is claimed."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from secrets import randbits
from typing import TYPE_CHECKING, Annotated

import typer

from fedgan.cli.console import format_epsilon, new_table, print_json, show, stderr, stdout
from fedgan.cli.options import JsonOption, SetOption, check_png
from fedgan.errors import UsageError, bad_value
from fedgan.files import write_text
from fedgan.runs import RunFolder

if TYPE_CHECKING:
    from rich.status import Status

    from fedgan.audit.attack.findings import Evidence
    from fedgan.audit.attack.report import AttackReport
    from fedgan.config import Config
    from fedgan.federation.attack.sites import Canaries

_OVER_CLAIM = 3
_METHODS = {"one_run": "one run", "one_run_f_dp": "f-DP", "clopper_pearson": "C-P"}


def attack(
    source: Annotated[Path, typer.Argument(metavar="CONFIG|RUN", help="TOML file, or a run to repeat with canaries.")],
    overrides: SetOption = None,
    clients: Annotated[
        str | None, typer.Option(metavar="A,B", help="Clients that get canaries; default: the one with fewest records.")
    ] = None,
    canaries: Annotated[int, typer.Option(help="Gradient canaries a client, or canary clients; 0 for none.")] = 1000,
    images: Annotated[int, typer.Option(help="Input canaries a client; 0 for none.")] = 100,
    members: Annotated[int, typer.Option(help="Own records a client that a coin leaves out; 0 for none.")] = 100,
    confidence: Annotated[float, typer.Option(help="With which all lower bounds hold together.")] = 0.95,
    claim: Annotated[
        float | None, typer.Option(metavar="EPS", help="Hold the bounds against this instead of the ledgers.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the coins; default: drawn anew and reported.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the audit's ledgers and report; default runs/attack-NAME-TIME.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw scores and ROC curves.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train once with canaries and prove lower bounds on epsilon; exit with 3 where one is above what is claimed."""
    _check(canaries, images, members, confidence, claim, plot)
    from fedgan.config import load_config, naming_places

    file = RunFolder.of_run(source).config if source.is_dir() else source
    settings = load_config(file, overrides or [])
    folder = _unused(output or Path("runs") / f"attack-{_name(source)}-{datetime.now():%Y%m%d-%H%M%S}")
    from fedgan.federation.attack.sites import Canaries

    names = tuple(name.strip() for name in clients.split(",")) if clients else ()
    wanted = Canaries(names, canaries, images, members, randbits(63) if seed is None else seed)
    with naming_places(file, overrides or []):
        report, evidence = _attack(settings, folder, wanted, confidence, claim, quiet=as_json)
    _save(folder, settings, report, evidence)
    if plot is not None:
        from fedgan.report.attack_picture import attack_picture

        attack_picture(evidence, report.findings, plot)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, folder)
    if report.exceeded:
        _alarm(report)
        raise typer.Exit(_OVER_CLAIM)


def _attack(
    settings: Config, folder: Path, wanted: Canaries, confidence: float, claim: float | None, *, quiet: bool
) -> tuple[AttackReport, list[Evidence]]:
    from fedgan.audit.attack.findings import judge_all
    from fedgan.audit.attack.report import AttackReport
    from fedgan.federation.attack.run import run_with_canaries, watched_sites

    ledgers = folder / "ledgers"
    sites = watched_sites(settings, ledgers, wanted)
    _begin(folder)
    status: AbstractContextManager[Status | None] = nullcontext() if quiet else stderr.status("training with canaries")
    with status as shown:

        def progress(done: int) -> None:
            if shown is not None:
                shown.update(f"training with canaries: round {done} of {settings.federation.rounds}")

        evidence = run_with_canaries(settings, ledgers, sites, progress, claim=claim)
    findings = judge_all(evidence, confidence=confidence)
    report = AttackReport(
        level=settings.privacy.level,
        delta=settings.privacy.delta,
        confidence=confidence,
        clients=tuple(sites.watches),
        seed=wanted.seed,
        findings=findings,
    )
    return report, evidence


def _check(canaries: int, images: int, members: int, confidence: float, claim: float | None, plot: Path | None) -> None:
    for name, value in (("--canaries", canaries), ("--images", images), ("--members", members)):
        if value < 0:
            raise bad_value(name, value, "0 or more")
    if canaries + images + members == 0:
        raise UsageError("--canaries, --images and --members are all 0: there is nothing to attack")
    if not 0 < confidence < 1:
        raise bad_value("--confidence", confidence, "a number between 0 and 1, such as 0.95")
    if claim is not None and not 0 <= claim < float("inf"):
        raise bad_value("--claim", claim, "a number of at least 0")
    check_png("--plot", plot)


def _name(source: Path) -> str:
    return source.resolve().name if source.is_dir() else source.stem


def _unused(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--output {folder} is not empty: an audit keeps ledgers of its own, so give a new folder")
    return folder


def _begin(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {folder}: cannot write there: {error.strerror}") from None


def _save(folder: Path, settings: Config, report: AttackReport, evidence: list[Evidence]) -> None:
    """Keep the report with what it was made of. No weights: a generator that saw canaries is published by nobody."""
    coins = {one.attack: {"included": one.included.tolist(), "scores": one.scores.tolist()} for one in evidence}
    document = {**report.to_dict(), "config": settings.model_dump(), "canaries": coins}
    write_text(folder / "attack.json", json.dumps(document) + "\n")


def _print(report: AttackReport, folder: Path) -> None:
    table = new_table("attack", "bound", "canaries", "guesses", "correct", "epsilon ≥", "at", "claimed")
    table.pad_edge = False
    for finding in report.findings:
        claimed = "nothing" if finding.claimed is None else format_epsilon(finding.claimed)
        for bound in finding.bounds:
            over = finding.claimed is not None and bound.epsilon > finding.claimed
            table.add_row(
                finding.attack,
                _METHODS[bound.method],
                str(finding.canaries),
                str(bound.guesses.guessed),
                str(bound.guesses.correct),
                _rounded_down(bound.epsilon),
                f"{report.confidence:.0%}",
                claimed,
                style="bold red" if over else None,
            )
        table.add_section()
    stdout.print(table)
    for finding in report.findings:
        show(f"{finding.attack}: AUC {finding.auc:.3f}, {finding.tpr:.1%} of the members found at 1 % false alarms")
    where = f"at client {', '.join(report.clients)}" if report.clients else "are clients of their own"
    show(
        f"canaries {where}; delta {report.delta:g}; all bounds hold together with the "
        f"stated confidence.\nA bound far below the claim is no proof of privacy. Audit: {folder}"
    )


def _rounded_down(epsilon: float) -> str:
    return f"{int(epsilon * 1000) / 1000:.3f}"


def _alarm(report: AttackReport) -> None:
    worst = max(
        ((bound.epsilon, finding) for finding in report.findings if finding.exceeded for bound in finding.bounds),
        key=lambda pair: pair[0],
    )
    claimed = worst[1].claimed or 0.0
    stderr.print(
        f"fedgan: PRIVACY VIOLATED: the {worst[1].attack} attack proves epsilon >= {_rounded_down(worst[0])} with "
        f"{report.confidence:.0%} confidence, but {format_epsilon(claimed)} is claimed",
        style="bold red",
        soft_wrap=True,
    )
