"""Tables say what the records say, and the page in the project is the one that its records make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fedgan.errors import IntegrityError
from simulations.results.__main__ import PAGE, RESULTS
from simulations.results.catalogue import ROWS, TABLES
from simulations.results.page import make_page, page_text
from simulations.results.record import Record, read_records, record_path, write_record
from simulations.results.row import Row, Table
from simulations.results.tables import table_text

TABLE = Table("t", (Row("one", "First", "digits.toml", aim="0.9"), Row("two", "Second", "digits.toml")))
Make = Callable[..., Record]


def cells(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_without_a_record_says_so(make_record: Make) -> None:
    text = table_text(TABLE, {"one": [make_record("one")]})
    assert cells(text, "Second")[:3] == ["Second", "", "not run"]
    hardware = "1, x, 2 threads"
    assert cells(text, "First") == ["First", "0.9 missed", "0.800", "0.500", "0.500", "0.500", "9.99", "1.5", hardware]
    assert text.splitlines()[0].startswith("| row | aim | CNN |")


def test_several_seeds_give_mean_and_standard_deviation(make_record: Make) -> None:
    records = [make_record("one", seed, accuracy) for seed, accuracy in enumerate((0.78, 0.80, 0.85))]
    found = cells(table_text(TABLE, {"one": records}), "First")
    assert found[2] == "0.810 ± 0.036"  # sqrt((0.03^2 + 0.01^2 + 0.04^2) / 2)
    assert found[-1] == "3, x, 2 threads"


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        ("0.8, better 0.85", "0.8 met, better 0.85 missed"),
        ("0.81", "0.81 missed"),
        ("0.97 of the last row", "0.97 of the last row"),
        ("", ""),
    ],
)
def test_it_is_said_whether_an_aim_is_met(make_record: Make, aim: str, said: str) -> None:
    table = Table("t", (Row("one", "First", "digits.toml", aim=aim), Row("two", "Second", "digits.toml", aim="0.5")))
    text = table_text(
        table, {"one": [make_record("one", seed, accuracy) for seed, accuracy in enumerate((0.79, 0.82))]}
    )
    assert cells(text, "First")[1] == said
    assert cells(text, "Second")[1] == "0.5"


def test_a_run_without_a_guarantee_and_one_on_a_gpu_are_named(make_record: Make) -> None:
    free = make_record("one", epsilon=None, hardware={"threads": 2, "gpu": "A GPU"})
    assert cells(table_text(TABLE, {"one": [free]}), "First")[-3:] == ["none", "1.5", "1, A GPU"]


def test_the_page_is_the_one_that_its_records_make() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page_text(page, read_records(RESULTS)) == page, "run make results"


def test_every_record_in_the_project_is_of_a_row_that_there_is() -> None:
    for name, records in read_records(RESULTS).items():
        assert {record.seed for record in records} <= {*ROWS[name].seeds}
        assert all(record.command == ROWS[name].command(record.seed) for record in records), "the row was changed"


def test_a_page_without_the_place_of_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="begin fashion_mnist"):
        page_text("# Results\n", {})


def test_a_page_is_made_with_its_pictures(tmp_path: Path, make_record: Make) -> None:
    row = TABLES[0].rows[0]
    path = write_record(tmp_path, make_record(row.name, accuracy=0.654))
    Image.new("L", (20, 20)).save(path.with_suffix(".png"))
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    make_page(page, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "| 0.654 |" in text
    assert "![Samples](results/fashion_mnist.png)" in text
    for name in ("fashion_mnist", "epsilon"):
        picture = Image.open(tmp_path / f"{name}.png").convert("L")
        assert picture.size[0] > 200
        assert picture.getextrema()[0] < 128, "nothing is drawn"
    assert not (tmp_path / "mnist.png").exists()
    make_page(page, tmp_path)
    assert page.read_text(encoding="utf-8") == text


def test_records_are_read_as_they_were_written(tmp_path: Path, make_record: Make) -> None:
    records = [make_record("one", seed) for seed in (10, 2)] + [make_record("two", stopped="no budget")]
    for record in records:
        write_record(tmp_path, record)
    assert read_records(tmp_path) == {"one": [records[1], records[0]], "two": [records[2]]}


def test_a_file_that_holds_no_record_or_another_one_is_named(tmp_path: Path, make_record: Make) -> None:
    write_record(tmp_path, make_record("one"))
    record_path(tmp_path, "one", 0).rename(record_path(tmp_path, "one", 1))
    with pytest.raises(IntegrityError, match=r"one\.seed-1\.json: it holds row 'one', seed 0"):
        read_records(tmp_path)
    record_path(tmp_path, "one", 1).write_text('{"row": "one"}')
    with pytest.raises(IntegrityError, match=r"one\.seed-1\.json: no record of a run: "):
        read_records(tmp_path)
