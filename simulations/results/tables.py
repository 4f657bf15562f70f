"""Tables in Markdown, made of rows and of the records that there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from simulations.results.fidelity import NAME as FRECHET
from simulations.results.published import PUBLISHED, Published
from simulations.results.record import Record
from simulations.results.row import Row, Table

NOT_RUN = "not run"
_NUMBER = re.compile(r"0\.\d+$")
_COLUMNS = ("CNN", "logistic regression", "Frechet distance", "recall", "epsilon", "minutes", "seeds, hardware")


def table_text(table: Table, records: Mapping[str, Sequence[Record]]) -> str:
    """Return `table` in Markdown; columns that no row has anything for are left out."""
    leading = [name for name, used in _leading(table) if used]
    lines = [[*leading, *_COLUMNS], ["---"] * (len(leading) + len(_COLUMNS))]
    for row in table.rows:
        found = records.get(row.name, ())
        first = {"row": row.title, "published": _published(row), "aim": _judged(row.aim, found)}
        lines.append([*(first[name] for name in leading), *_cells(found)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _leading(table: Table) -> list[tuple[str, bool]]:
    return [
        ("row", True),
        ("published", any(row.published for row in table.rows)),
        ("aim", any(row.aim for row in table.rows)),
    ]


def _published(row: Row) -> str:
    found = [PUBLISHED[name] for name in row.published]
    return ", ".join(f"{one.accuracy:.3f} {one.method}" for one in found)


def _judged(aim: str, records: Sequence[Record]) -> str:
    """Return `aim` with "met" or "missed" behind each accuracy in it that ends one of its parts."""
    if not aim or not records:
        return aim
    reached = mean(record.metrics["cnn"] for record in records)
    parts = aim.split(", ")
    verdicts = [_NUMBER.search(part) for part in parts]
    return ", ".join(
        part if number is None else f"{part} {'met' if reached >= float(number.group()) else 'missed'}"
        for part, number in zip(parts, verdicts, strict=True)
    )


def _cells(records: Sequence[Record]) -> list[str]:
    if not records:
        return [NOT_RUN, *[""] * (len(_COLUMNS) - 1)]
    scores = [_spread([record.metrics[name] for record in records], digits) for name, digits in _SHOWN]
    epsilons = {_epsilon(record) for record in records}
    minutes = max(record.training_seconds for record in records) / 60
    return [*scores, " to ".join(sorted(epsilons)), f"{minutes:.1f}", f"{len(records)}, {_hardware(records)}"]


_SHOWN = (("cnn", 3), ("logistic_regression", 3), (FRECHET, 1), ("recall", 3))


def _spread(values: Sequence[float], digits: int) -> str:
    """Return the mean, with the standard deviation if there are several values; three digits of means below 1."""
    digits = digits if mean(values) >= 1 else 3
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def _epsilon(record: Record) -> str:
    return "none" if record.epsilon is None else f"{record.epsilon:.2f}"


def _hardware(records: Sequence[Record]) -> str:
    kinds = {str(record.hardware["gpu"]) or _cpu(record) for record in records}
    return " and ".join(sorted(kinds))


def _cpu(record: Record) -> str:
    threads = record.hardware["threads"]
    return f"{record.hardware['cpu']}, {threads} thread{'' if threads == 1 else 's'}"


def sources_text() -> str:
    """Return the published numbers with their sources and protocols, in Markdown."""
    lines = ["| data | method | epsilon: accuracy | source | protocol, where it differs |", "|---|---|---|---|---|"]
    groups: dict[tuple[str, str], list[Published]] = {}
    for one in PUBLISHED.values():
        groups.setdefault((one.data, one.method), []).append(one)
    for (data, method), group in groups.items():
        values = ", ".join(f"{one.epsilon:g}: {one.accuracy:.3f}" for one in group)
        lines.append(f"| {data} | {method} | {values} | {group[0].source} | {group[0].protocol} |")
    return "\n".join(lines)
