"""Flower reads a static version from pyproject.toml, so the number stands twice."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fedgan import __version__


def test_the_two_version_numbers_agree() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
