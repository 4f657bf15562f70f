"""A mutant: one planted bug, the claim that it breaks, and the tests that must notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ASSERTIONS = ("AssertionError", "Failed")
"""Names of the exceptions by which a test fails: of an assertion, and of `pytest.fail` and `pytest.raises`."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One planted bug.

    Attributes:
        name: short and unique.
        breaks: what is no longer true of the privacy promised, one sentence.
        file: the source file, relative to the project's root.
        before: text that occurs exactly once in it, so short and so unlikely to move as can be.
        after: what stands there instead.
        killed_by: node identifiers of tests; with a bare name every case of a parametrised test must fail.
        dies_of: names of exceptions by which these tests may fail besides `ASSERTIONS`.
    """

    name: str
    breaks: str
    file: str
    before: str
    after: str
    killed_by: tuple[str, ...]
    dies_of: tuple[str, ...] = ()


class NotPlantable(Exception):  # noqa: N818 - says of a mutant what it is
    """The sources have moved on: the mutant cannot be planted, so it shows nothing."""


def mutated(mutant: Mutant, root: Path) -> str:
    """Return the changed content of the mutant's file below `root`.

    Raises:
        NotPlantable: there is no such file, the text does not occur exactly once, or the result is no Python.
    """
    path = root / mutant.file
    if not path.is_file():
        raise NotPlantable(f"{mutant.file} does not exist")
    content = path.read_text()
    if (count := content.count(mutant.before)) != 1:
        raise NotPlantable(f"the text to replace occurs {count} times in {mutant.file}, not once")
    changed = content.replace(mutant.before, mutant.after)
    try:
        compile(changed, mutant.file, "exec")
    except SyntaxError as error:
        raise NotPlantable(f"{mutant.file}:{error.lineno}: the changed text is no Python: {error.msg}") from error
    return changed


@contextmanager
def planted(mutant: Mutant, root: Path) -> Iterator[None]:
    """Keep the mutant's change in the sources below `root` for a while; raises NotPlantable as `mutated` does."""
    changed, path = mutated(mutant, root), root / mutant.file
    original = path.read_text()
    path.write_text(changed)
    try:
        yield
    finally:
        path.write_text(original)
