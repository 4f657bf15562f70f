"""What the end of a mutant's tests says about the mutant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from simulations.mutants.mutant import ASSERTIONS, Mutant
from simulations.mutants.workshop import TestRun


class Verdict(StrEnum):
    """Whether the tests noticed a mutant; an error shows nothing about them, and is as bad as a survivor."""

    KILLED = "killed"
    SURVIVED = "survived"
    ERROR = "error"


@dataclass(frozen=True)
class Result:
    """The verdict on a mutant, why in a few words, and how many seconds it took."""

    mutant: Mutant
    verdict: Verdict
    reason: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        mutant = asdict(self.mutant)
        return {
            **{key: mutant[key] for key in ("name", "breaks", "file", "killed_by")},
            "verdict": self.verdict.value,
            "reason": self.reason,
            "seconds": round(self.seconds, 2),
        }


def judge(mutant: Mutant, run: TestRun) -> tuple[Verdict, str]:
    """Return the verdict on `mutant` and the reason: it is killed if every named test failed by an expected exception.

    An import that fails, a broken fixture, an exception that is neither an assertion's nor declared, or tests that
    took too long kill nothing.
    """
    if run.trouble:
        return Verdict.ERROR, run.trouble
    for test, end in run.ends.items():
        if end["end"] == "error":
            return Verdict.ERROR, f"{test} could not run: {end['words']}"
    missing, survivors = [], []
    for named in mutant.killed_by:
        cases = {test: end for test, end in run.ends.items() if test == named or test.startswith(f"{named}[")}
        missing += [] if cases else [named]
        survivors += [f"{test} {end['end']}" for test, end in cases.items() if end["end"] != "failed"]
    if missing:
        return Verdict.ERROR, f"{missing[0]} is no test"
    if survivors:
        return Verdict.SURVIVED, "; ".join(survivors)
    for test, end in run.ends.items():
        if end["exception"] not in (*ASSERTIONS, *mutant.dies_of):
            return Verdict.ERROR, f"{test} failed by an exception that is not declared: {end['words']}"
    return Verdict.KILLED, f"{len(run.ends)} failed"
