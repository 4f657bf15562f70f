"""Each mutant of the catalogue can be planted in the sources as they are, and names tests that exist."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from simulations.mutants.catalogue import MUTANTS
from simulations.mutants.mutant import Mutant, mutated

pytestmark = pytest.mark.privacy

ROOT = Path(__file__).parents[2]


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_changes_the_library_and_names_its_tests(mutant: Mutant) -> None:
    assert mutant.file.startswith("fedgan/")
    assert mutated(mutant, ROOT) != (ROOT / mutant.file).read_text()
    assert mutant.killed_by
    for test in mutant.killed_by:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), test
