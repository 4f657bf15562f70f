"""docs/results.md: what stands between its markers is made here, the rest is written by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedgan.files import write_text
from simulations.results.catalogue import CURVES, GRIDS, TABLES
from simulations.results.pictures import draw_curves, draw_side_by_side
from simulations.results.record import Record, read_records
from simulations.results.tables import sources_text, table_text


def page_text(page: str, records: Mapping[str, Sequence[Record]]) -> str:
    """Return `page` with every table made anew.

    Raises:
        ValueError: a table has no place in it.
    """
    parts = {table.name: table_text(table, records) for table in TABLES}
    parts |= {"published": sources_text(), "origins": _origins_text(records)}
    parts |= {
        f"{table.name}-samples": f"![Samples](results/{table.name}.png)"
        if any(records.get(row.name) for row in table.rows)
        else "No row has been run yet, so there are no samples."
        for table in GRIDS
    }
    for name, text in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if len(place.findall(page)) != 1:
            raise ValueError(f"docs/results.md needs the markers '{begin}' and '{end}' once")
        page = place.sub(lambda _: f"{begin}\n{text}\n{end}", page)  # noqa: B023
    return page


def _origins_text(records: Mapping[str, Sequence[Record]]) -> str:
    """Return how many records say what made them."""
    every = [record for found in records.values() for record in found]
    known = sum(bool(record.commit and record.configuration) for record in every)
    return f"{known} of {len(every)} records name the commit and the configuration that made them; the others do not."


def make_page(page: Path, results: Path) -> None:
    """Write the tables of the file `page` and the plots in the folder `results` from the records in that folder."""
    records = read_records(results)
    write_text(page, page_text(page.read_text(encoding="utf-8"), records))
    for table in GRIDS:
        draw_side_by_side(table.rows, records, results, results / f"{table.name}.png")
    draw_curves(CURVES, records, results / "epsilon.png")
