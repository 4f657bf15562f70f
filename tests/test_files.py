"""A file is written whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fedgan.errors import FedganError, WriteError
from fedgan.files import append_line, write_bytes, write_text


def test_content_and_missing_folders_are_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.bin"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


def test_text_is_utf_8_with_its_line_ends_untouched(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "ε ≤ 10\n")
    assert (tmp_path / "file.txt").read_bytes() == "ε ≤ 10\n".encode()


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "")
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "file.txt"
    write_text(path, "old")
    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(WriteError, match="^" + re.escape(f"{path}: cannot be written: disk full") + "$"):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_durable_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("fsync"), real_fsync(file))[1])
    monkeypatch.setattr(Path, "replace", lambda old, new: (steps.append("replace"), real_replace(old, new))[1])
    write_text(tmp_path / "file.txt", "text")
    assert steps == ["fsync", "replace", "fsync"]


def test_a_file_that_cannot_be_written_is_an_error_for_users_and_for_callers(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FedganError) as caught:
        write_text(tmp_path / "folder", "")
    assert isinstance(caught.value, OSError)
    assert (caught.value.exit_code, caught.value.strerror) == (1, "Is a directory")
    assert str(caught.value) == f"{tmp_path / 'folder'}: cannot be written: Is a directory"


def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    append_line(path, "one")
    append_line(path, "two")
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(WriteError, match="lines: cannot be written: disk full"):
        append_line(path, "three")
    assert path.read_text() == "one\ntwo\n"
