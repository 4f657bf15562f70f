"""Which tests have just passed, by pytest's own report."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree


def passed_in(report: Path) -> frozenset[str]:
    """Return the node ids of the tests that passed, from the file that `pytest --junitxml` wrote.

    Raises:
        ValueError: it is no such file, or one of another family than xunit1, which alone names files.
    """
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        raise ValueError(f"{report}: no report of pytest: {error}") from None
    return frozenset(_node_id(case, report) for case in cases if not len(case))  # a child says what went wrong


def _node_id(case: ElementTree.Element, report: Path) -> str:
    if (file := case.get("file")) is None:
        raise ValueError(f"{report}: names no files: run pytest with -o junit_family=xunit1")
    module = file.removesuffix(".py").replace("/", ".")
    inside = case.get("classname", "").removeprefix(module).strip(".")
    return "::".join([file, *inside.split(".")] if inside else [file]) + f"::{case.get('name')}"
