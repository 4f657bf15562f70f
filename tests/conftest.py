"""For all tests: what was loaded to collect them is left out of the garbage collections while they run."""

from __future__ import annotations

import atexit
import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Looking through torch and its kin again and again takes up to a sixth of the time of quick tests."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # not earlier: pytest's own collections at its end would go through it all
