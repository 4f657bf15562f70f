"""The audit statement: figures of the audit, nothing that runs or loads, and names from ledgers stay text."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fedgan.audit.budget import audit_budget
from fedgan.audit.curve_svg import curve_svg
from fedgan.audit.statement import statement
from fedgan.errors import IntegrityError, UsageError
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Gaussian, PoissonSampled
from fedgan.privacy.ledger import Ledger, read_ledger
from fedgan.privacy.signature import public_text, sign

from .conftest import charge

pytestmark = pytest.mark.privacy

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
VOID = {"meta", "polyline", "line", "circle"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data


def test_it_says_what_the_audit_says(finished: Path) -> None:
    page = Page(statement([finished], made=MADE))
    report = audit_budget([finished], accountant="all")
    assert report.accountants is not None
    assert "2026-01-02 03:04 UTC" in page.words
    for bound in report.accountants.values():
        assert bound.epsilon is not None
        assert f"{bound.epsilon:.2f}"[:-1] in page.words
    for ledger in map(read_ledger, (finished / "ledgers").glob("*.jsonl")):
        assert ledger[-1].hash in page.words
        assert ledger[0].dataset in page.words
    assert json.loads((finished / "generator.json").read_text())["sha256"] in page.words
    for words in ("add or remove one record", "trust", "everyone, the server", f"fedgan audit verify {finished}"):
        assert words in page.words


def test_figures_are_rounded_up_and_the_largest_client_counts(finished: Path) -> None:
    page, report = statement([finished], made=MADE), audit_budget([finished])
    shown = float(re.search(r"<strong>([\d.]+)</strong> at delta 1e-05", page)[1])  # type: ignore[index]
    assert report.epsilon <= shown <= report.epsilon + 0.001
    total = audit_budget([finished], overlap="sum").epsilon
    added = float(re.search(r"every client</td><td>([\d.]+) at delta 3e-05", page)[1])  # type: ignore[index]
    assert total <= added <= total + 0.001


SAMPLED = PoissonSampled(0.2, Gaussian(2.0))


def ledger_of(path: Path, *charges: dict[str, Any], client: str = "a") -> Path:
    with Ledger.open(path, client=client, dataset=b"a", records=10**6) as ledger:
        for number, changes in enumerate(charges):
            kept = {"run": "r", "round": number, "clip": 1.0, "noise_std": 2.0, "delta": 1e-7} | changes
            ledger.charge(kept.pop("event", SAMPLED), **kept)
    return path


WHOLE: dict[str, Any] = {"level": "client", "trust": "aggregator"}


def test_whole_clients_are_what_is_hidden_and_the_server_sees_them_bare(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    ledger_of(tmp_path / "ledgers" / "a.jsonl", WHOLE, WHOLE)
    content = statement([tmp_path], made=MADE)
    words = Page(content).words
    spent = epsilon([SAMPLED] * 2, delta=1e-7, accountant="pld")
    assert 0 <= float(re.search(r"client level</td><td><strong>([\d.]+)<", content)[1]) - spent < 1e-3  # type: ignore[index]
    assert "Epsilon at record level" not in words
    for said in (
        "every client, with all its records",
        "add or remove one client",
        "the networks that it trained, before the server clips what changed and adds the noise",
        "nor at client level that a client is enrolled",
    ):
        assert said in words
    assert "clipped contributions before any noise" not in words
    assert re.search(r"<td>server</td><td>[^<]*</td><td>infinite</td>", content)


def test_both_levels_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    ledger_of(tmp_path / "ledgers" / "a.jsonl", WHOLE, {}, {"trust": "aggregator"})
    content = statement([tmp_path], made=MADE)
    words = Page(content).words
    mixed = epsilon([Gaussian(1.0), SAMPLED, SAMPLED], delta=1e-7, accountant="pld")
    assert 0 <= float(re.search(r"record level</td><td><strong>([\d.]+)<", content)[1]) - mixed < 1e-3  # type: ignore[index]
    assert "client level</td><td><strong>infinite</strong>" in content
    assert "Epsilon by PLD at record level" in words
    assert "counts at record level with half its noise and without the sampling of clients" in words
    seen = re.search(r"<td>server</td><td>([^<]*)</td>", content)[1]  # type: ignore[index]
    assert [
        seen.count(what) for what in ("made private", "before any noise", "networks that it trained", "its name")
    ] == [1] * 4


def test_what_a_crash_lost_is_counted_and_told(tmp_path: Path) -> None:
    path = ledger_of(tmp_path / "a.jsonl", {}, {"round": 1}, {"round": 1}, {"round": 1, "run": "s"})
    with path.open("ab") as file:
        file.write(b'{"version":1,')
    Ledger.open(path, client="a", dataset=b"a", records=10**6).close()
    content = statement([path], made=MADE)
    words = Page(content).words
    assert "1 of the charges are for a round for which the client had been charged before" in words
    assert "1 of the lines close off a line that a crash had torn" in words
    spent = epsilon([SAMPLED] * 4, delta=1e-7, accountant="pld")
    assert 0 <= float(re.search(r"<strong>([\d.]+)<", content)[1]) - spent < 1e-3  # type: ignore[index]
    plain = Page(statement([ledger_of(tmp_path / "b.jsonl", {}, {})], made=MADE)).words
    assert "had been charged before" not in plain
    assert "torn" not in plain


def test_several_runs_on_one_commitment_are_composed(tmp_path: Path) -> None:
    path = ledger_of(tmp_path / "lasting" / "a.jsonl", {"run": "one"}, {"run": "two", "round": 0})
    runs = [tmp_path / name for name in ("one", "two")]
    for run in runs:
        run.mkdir()
        (run / "config.toml").write_text(f"[privacy]\nledgers = {str(path.parent)!r}\n")
    page = Page(statement(runs, made=MADE))
    assert "(2 runs, one after the other)" in page.words
    assert f"{epsilon([SAMPLED] * 2, delta=1e-7, accountant='pld'):.2f}"[:-1] in page.words
    assert "had been charged before" not in page.words


def test_signatures_are_stated_and_asked_for(tmp_path: Path) -> None:
    path, key = ledger_of(tmp_path / "a.jsonl", {}), ec.generate_private_key(ec.SECP384R1())
    assert "No ledger is signed" in Page(statement([path], made=MADE)).words
    (tmp_path / "a.pub").write_text(public := public_text(key.public_key()))
    with pytest.raises(IntegrityError, match="it is not signed"):
        statement([path], made=MADE, public_key=tmp_path)
    sign(path, read_ledger(path)[-1], key)
    words = Page(statement([path], made=MADE, public_key=tmp_path)).words
    assert f"1 of the ledgers signed with {public}" in words
    assert f"fedgan audit verify {path} --public-key {tmp_path}" in words


def test_another_delta_gives_the_epsilon_of_that_delta(finished: Path) -> None:
    page = statement([finished], made=MADE, delta=1e-3)
    shown = float(re.search(r"<strong>([\d.]+)</strong> at delta 0.001", page)[1])  # type: ignore[index]
    assert shown == pytest.approx(audit_budget([finished], delta=1e-3).epsilon, abs=1e-3)
    with pytest.raises(UsageError, match="delta"):
        statement([finished], made=MADE, delta=1.5)


def test_nothing_is_loaded_and_nothing_runs(finished: Path) -> None:
    content = statement([finished], made=MADE)
    page = Page(content)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "a", "form"}
    assert not {name for _, attributes in page.elements for name in attributes if name in {"src", "href", "onload"}}
    assert "url(" not in content
    assert "@import" not in content
    assert "@media print" in content


NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a&b</table></style>'",
    "evil\u202etxt\x00\x07\n",
    "half \ud800 of a pair",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_clients_stay_text(tmp_path: Path, name: str) -> None:
    with Ledger.open(tmp_path / "a.jsonl", client=name, dataset=b"a", records=9) as ledger:
        charge(ledger, 0, 2.0)
    content = statement([tmp_path / "a.jsonl"], made=MADE)
    page = Page(content)
    content.encode()
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    spelled = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in name)
    assert spelled in page.words
    assert "\u202e" not in content


def test_an_infinite_epsilon_and_an_idle_ledger_are_stated(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.jsonl", client="a", dataset=b"a", records=9):
        pass
    page = statement([tmp_path], made=MADE)
    assert "--delta" not in page
    assert "no finite epsilon" in curve_svg({"a": [float("inf")]})
    assert "circle" in curve_svg({"a": [1.0], "b": []})


def test_the_picture_shows_the_largest_of_all_clients() -> None:
    rising, flat, falling = [1.0, 2.0, 4.0], [3.0, 3.0, 3.0], [float("inf"), 1.0, 1.0]
    picture = curve_svg({"a": rising, "b": flat, "c": flat})
    assert picture.count("<polyline") == 3  # two curves and the largest
    heights = [float(point.split(",")[1]) for point in re.findall(r'points="([^"]*)"', picture)[-1].split()]
    assert heights[0] == heights[1] > heights[2]  # 3, 3, 4; y points down
    assert len(re.findall(r'points="([^"]*)"', curve_svg({"a": falling}))[0].split()) == 2


def test_of_a_damaged_record_no_statement_is_made(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "generator.safetensors").write_bytes(b"others")
    with pytest.raises(IntegrityError, match="SHA-256"):
        statement([run], made=MADE)
