"""An audit statement: one page that says what was spent, on whose records, and how to check it again."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fedgan import __version__
from fedgan.audit.budget import audit_budget
from fedgan.audit.budget_report import Bound, BudgetReport
from fedgan.audit.curve import SpentByRound, spent_by_round
from fedgan.audit.curve_svg import curve_svg
from fedgan.audit.html import code, listing, page, table, text
from fedgan.audit.verify import VerifyReport, verify
from fedgan.errors import IntegrityError

_ASSUMPTIONS = (
    "What was charged is what was done: random sampling at the stated rate, clipping (of records by their client, of "
    "a whole client's contribution by the server), and the stated noise, added by each client under trust local and "
    "by the server under trust aggregator. Ledgers cannot show this; <code>fedgan audit attack</code> looks for "
    "violations.",
    "A charge counts whether or not its result was used: what a crash lost is in these figures.",
    "Clients hold disjoint records, so that the largest epsilon holds for all. The row for a person at every client "
    "says what holds otherwise.",
    "These are all the ledgers of these records. What was spent elsewhere adds up with it.",
    "Random numbers for noise and sampling were secret and of cryptographic quality.",
    "Numbers of records and commitments are not protected, nor is who takes part in which round at record level, nor "
    "at client level that a client is enrolled, as it has a ledger.",
    "A ledger shows changes only against what names its lines: the card, the checkpoints, or the heads on this page.",
)


_BOTH_LEVELS = (
    "<p>Charges at both levels: one that hides a whole client counts at record level with half its noise and without "
    "the sampling of clients; one that hides single records says nothing of a whole client, whose epsilon is then "
    "infinite.</p>"
)


def statement(
    paths: Sequence[Path],
    *,
    made: datetime,
    delta: float | None = None,
    public_key: Path | None = None,
    workers: int = 1,
) -> str:
    """Return the page for the ledgers at `paths`.

    Args:
        paths: run folders, folders of `*.jsonl`, or ledger files.
        made: when, with its time zone.
        delta: in (0, 1); by default the largest that the ledgers were charged with.
        public_key: as that of `verify`.
        workers: processes among which many ledgers are divided.

    Raises:
        UsageError: a path without a ledger, no usable key, or a value out of range.
        IntegrityError: verification finds a fault; of a damaged record no statement is made.
    """
    checked = verify(paths, public_key=public_key, workers=workers)
    if not checked.intact:
        raise IntegrityError(str(checked.faults[0]))
    report = audit_budget(paths, delta=delta, accountant="all", workers=workers)
    everywhere = audit_budget(paths, delta=delta, overlap="sum", workers=workers)
    curves = spent_by_round(paths, delta=delta)
    return page(
        "Privacy audit statement",
        (
            ("Result", _result(report, everywhere, made)),
            ("Who sees what", _adversaries(report)),
            ("Clients and what each has spent", _clients(report, curves.repeated)),
            ("Epsilon by round", _curve(curves)),
            ("Data commitments and ledgers", _ledgers(checked)),
            ("Integrity", _integrity(checked)),
            ("Assumptions", listing(_ASSUMPTIONS)),
            ("How to check again", _again(paths, report, public_key)),
        ),
    )


def _result(report: BudgetReport, everywhere: BudgetReport, made: datetime) -> str:
    rows = [("Made", text(f"{made:%Y-%m-%d %H:%M %Z}, fedgan {__version__}"))]
    for level in report.levels:
        rows += [
            (f"Epsilon at {level.level} level", f"<strong>{_epsilon(level.epsilon)}</strong> at delta {level.delta:g}"),
            ("hides", text(level.protected)),
            ("from", text(level.adversary)),
            ("neighbouring relation", text(level.neighbours)),
            ("trust", text(level.trust)),
        ]
    mixed = len(report.levels) > 1
    for total in everywhere.levels:
        who = "A person at every client" if total.level == "record" else "A person behind every client"
        rows.append((who, f"{_epsilon(total.epsilon)} at delta {total.delta:g} (added up)"))
    at = f" at {report.level} level" if mixed else ""
    rows += [(f"Epsilon by {name.upper()}{at}", _bound(bound)) for name, bound in (report.accountants or {}).items()]
    meaning = (
        "<p>Whatever somebody could do or infer about one protected person or party is, with it in the data, at most "
        "e<sup>epsilon</sup> times as likely as without it, but for a chance of delta. Epsilon counts by "
        "the accountant PLD, rounded up; RDP is a looser bound, PRV an interval, or RDP's bound where its grid is too "
        "coarse.</p>"
    )
    return table(("", ""), [(text(name), value) for name, value in rows]) + meaning + (_BOTH_LEVELS if mixed else "")


def _adversaries(report: BudgetReport) -> str:
    if report.adversaries is None:
        return "<p>Only ledgers were given, no run folder: what each party saw of a run is not known here.</p>"
    rows = [(text(one.who), text(one.sees), _epsilon(one.epsilon), f"{one.delta:g}") for one in report.adversaries]
    return table(("Party", "Sees", "Epsilon against it", "Delta"), rows)


def _clients(report: BudgetReport, repeated: int) -> str:
    names = list(report.accountants or {})
    rows = [
        (
            text(one.client),
            str(one.records),
            str(one.charges),
            text(one.level),
            text(one.trust),
            *(_bound((one.accountants or {})[name]) for name in names),
            f"{one.delta:g}",
        )
        for one in report.clients
    ]
    columns = ("Client", "Records", "Charges", "Level", "Trust", *(name.upper() for name in names), "Delta")
    notes = [*map(text, report.notes)]
    if repeated:
        notes.append(
            f"{repeated} of the charges are for a round for which the client had been charged before, as when a crash "
            "lost what it had computed and it was asked again: each counts."
        )
    return table(columns, rows) + listing(notes)


def _curve(curves: SpentByRound) -> str:
    note = f"<p>{text(curves.note)}</p>" if curves.note else ""
    runs = len({run for run, _ in curves.points})
    first = f" ({runs} runs, one after the other)" if runs > 1 else ""
    return curve_svg(curves.epsilons) + f"<p>Grey: each client; blue: the largest{first}. By PLD.</p>" + note


def _ledgers(checked: VerifyReport) -> str:
    rows = [
        (text(one.client), str(one.records), code(one.dataset), str(one.lines), code(one.head), text(one.path))
        for one in checked.ledgers
    ]
    return table(("Client", "Records", "Commitment to the records", "Lines", "Head (last line's hash)", "File"), rows)


def _integrity(checked: VerifyReport) -> str:
    lines = sum(one.lines for one in checked.ledgers)
    found = [f"{len(checked.ledgers)} ledgers with {lines} lines: form, hash chain and plausibility hold."]
    if recoveries := sum(one.recoveries for one in checked.ledgers):
        found.append(f"{recoveries} of the lines close off a line that a crash had torn, before its charge was used.")
    for key in sorted({one["public_key"] for one in checked.signed}):
        count = sum(one["public_key"] == key for one in checked.signed)
        found.append(f"{count} of the ledgers signed with {code(key)}")
    if not checked.signed:
        found.append("No ledger is signed: whoever could write these files could have written others.")
    for run in checked.runs:
        card = run / "generator.json"
        if card.is_file():
            digest = json.loads(card.read_text(encoding="utf-8"))["sha256"]
            found.append(f"{text(run)}: card and checkpoints fit weights and ledgers. Weights' SHA-256: {code(digest)}")
        else:
            found.append(f"{text(run)}: its checkpoints fit the ledgers; it is not finished, so there is no card.")
    if not checked.runs:
        found.append("No run folder was given: no weights were checked against these ledgers.")
    found += [f"Warning: {text(warning)}" for warning in checked.warnings]
    return listing(found)


def _again(paths: Sequence[Path], report: BudgetReport, public_key: Path | None) -> str:
    named = " ".join(shlex.quote(str(path)) for path in paths)
    at = f" --delta {report.delta!r}" if report.delta else ""  # nothing was charged, so there is none
    commands = (
        f"fedgan audit verify {named}" + (f" --public-key {shlex.quote(str(public_key))}" if public_key else ""),
        f"fedgan audit budget {named} --accountant all{at}",
        f"fedgan audit budget {named} --overlap sum{at}",
    )
    listed = "\n".join(text(command) for command in commands)
    return (
        f"<pre>{listed}</pre><p>The heads and digests above must be the same then: keep this page apart from the "
        "files. A head that is no longer the last one but still in its ledger means that more was charged since.</p>"
    )


def _bound(bound: Bound) -> str:
    if bound.epsilon is None:
        return "unknown"
    if bound.low is None or bound.high is None:
        return _epsilon(bound.epsilon)
    return f"{math.floor(bound.low * 1000) / 1000:.3f} to {_epsilon(bound.high)}"


def _epsilon(value: float) -> str:
    return "infinite" if math.isinf(value) else f"{math.ceil(value * 1000 - 1e-9) / 1000:.3f}"
