"""A pytest plugin that writes down how each test ended, and by which exception."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

REPORT = "MUTANT_REPORT"
"""Environment variable that names the file to write."""

# That an example fails is enough; looking for the smallest one takes longer than all the rest.
settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), deadline=None, database=None)

_ENDS: dict[str, dict[str, str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note the first phase of a test that did not pass, or that all did."""
    report: Any = yield
    if _ENDS.get(item.nodeid, {"end": "passed"})["end"] == "passed":
        end = "error" if report.outcome == "failed" and report.when != "call" else report.outcome
        exception, words = "", ""
        if call.excinfo is not None:
            exception, words = _kind(call.excinfo.value), call.excinfo.exconly().strip().splitlines()[0]
        _ENDS[item.nodeid] = {"end": end, "exception": exception, "words": words}
    return report  # type: ignore[no-any-return]


def _kind(error: BaseException) -> str:
    """Return the name of the exception's type; hypothesis groups failures of one kind, which count as one of them."""
    kinds = {_kind(each) for each in error.exceptions} if isinstance(error, BaseExceptionGroup) else set()
    return kinds.pop() if len(kinds) == 1 else type(error).__name__


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(os.environ[REPORT]).write_text(json.dumps(_ENDS))
