"""A record says which commit and which configuration made it, and `list` says where a row has another one by now."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simulations.results import __main__ as command
from simulations.results.catalogue import ROWS
from simulations.results.origin import commit_of, configs_of, digest
from simulations.results.page import page_text
from simulations.results.record import Record, read_records, record_path, write_record
from simulations.results.row import Row

Make = Callable[..., Record]
NEW_FIELDS = ("commit", "judging_commit", "configuration")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "docs").mkdir(parents=True)
    git(folder, "init", "--quiet")
    for name in ("code.py", "docs/page.md"):
        (folder / name).write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_commit_is_named_and_called_dirty_where_tracked_files_differ(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "untracked.py").write_text("new\n")
    (checkout / "docs" / "page.md").write_text("made of results\n")
    assert commit_of(checkout) == commit
    (checkout / "code.py").write_text("two\n")
    assert commit_of(checkout) == f"{commit}-dirty"
    git(checkout, "add", "code.py")
    assert commit_of(checkout) == f"{commit}-dirty"
    git(checkout, "commit", "--quiet", "-m", "second")
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD") != commit


def test_there_is_no_commit_without_git(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_of(tmp_path) is None
    assert commit_of(checkout / "docs") is None, "code that lies in somebody else's work tree has no commit there"
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path) is None, "nothing was committed yet"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(checkout) is None


def test_a_digest_is_of_every_setting_and_of_no_place() -> None:
    row = Row("a", "A", "fashion_mnist.toml", data=".")

    def of(changed: Row, seed: int = 0, *places: str) -> str:
        return digest(configs_of(changed, seed, places))

    assert len(of(row)) == 64
    assert of(row) == of(row, 0, "data.root=elsewhere", "privacy.ledgers=there") == of(replace(row, title="B"))
    assert of(row) == of(replace(row, settings=("federation.rounds=0",))), "the file says so already"
    settings = (("training.warm_start_steps=599",), ("privacy.epsilon=9",))
    others = [replace(row, settings=changed) for changed in settings]
    others += [replace(row, images=5000), replace(row, config="mnist.toml"), replace(row, parts=2)]
    assert len({of(row), of(row, 1), *map(of, others)}) == 7


def test_older_records_are_read_and_known_for_what_they_are(tmp_path: Path, make_record: Make) -> None:
    path = write_record(tmp_path, make_record("one"))
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in fields.items() if name not in NEW_FIELDS}))
    [record] = read_records(tmp_path)["one"]
    assert (record.commit, record.judging_commit, record.configuration) == ("", "", "")


def test_the_page_counts_the_records_that_say_what_made_them(make_record: Make) -> None:
    known = make_record("digits", commit="a" * 40, configuration="b" * 64)
    gitless = make_record("digits-real", commit=None, configuration="b" * 64)
    text = page_text(command.PAGE.read_text(encoding="utf-8"), {"digits": [known], "digits-real": [gitless]})
    assert "\n1 of 2 records name the commit and the configuration that made them; " in text


def test_list_marks_rows_whose_configuration_has_changed(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    name = "fashion_mnist-central-eps1"
    same = digest(configs_of(ROWS[name], 0))
    for seed, configuration in enumerate((same, same)):  # what seed 0 is made of is not what seed 1 is made of
        write_record(tmp_path, make_record(name, seed, configuration=configuration))
    write_record(tmp_path, make_record("digits", configuration=digest(configs_of(ROWS["digits"], 0))))
    write_record(tmp_path, make_record("digits-real"))
    assert command.main(["list"]) == 0
    states = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert states.keys() == ROWS.keys()
    assert states[name] == "not run: seed 2; other configuration: seed 1"
    assert (states["digits"], states["mnist-real"]) == ("run", "not run: seed 0")
    assert states["digits-real"] == "of a configuration that it does not name: seed 0"
    record_path(tmp_path, "digits", 0).write_text("{}")
    assert command.main(["list"]) == 4
