"""A registry finds what lies in its package, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedgan.errors import UsageError
from fedgan.registry import Registry

PLUGIN = "from {package}.base import THINGS\nTHINGS.register({name!r})({value!r})\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package `things` whose module `base` holds a registry of the package's modules."""
    folder = tmp_path / "things_of_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text(
        "from fedgan.registry import Registry\nTHINGS: Registry[str] = Registry('thing.name', __package__)\n"
    )
    for name, value in (("square", "four"), ("circle", "none")):
        (folder / f"{name}.py").write_text(PLUGIN.format(package=folder.name, name=name, value=value))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder.name
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def registry_of(package: str) -> Registry[str]:
    __import__(f"{package}.base")
    return sys.modules[f"{package}.base"].THINGS


def test_a_file_in_the_package_is_an_entry(package: str) -> None:
    things = registry_of(package)
    assert things.names() == ["circle", "square"]
    assert things["square"] == "four"


def test_modules_are_imported_on_first_use_only(package: str) -> None:
    things = registry_of(package)
    assert f"{package}.square" not in sys.modules
    things.names()
    assert f"{package}.square" in sys.modules


def test_an_unknown_name_offers_the_nearest(package: str) -> None:
    with pytest.raises(UsageError, match=r"^thing\.name = 'squar' is unknown: did you mean 'square'\?"):
        registry_of(package)["squar"]


@pytest.mark.parametrize("path", ["os", "os:system", "things_of_test.square", "fedgan.losses.hinge"])
def test_an_import_path_is_no_name(package: str, path: str) -> None:
    with pytest.raises(UsageError, match="is unknown"):
        registry_of(package)[path]


def test_a_name_taken_twice_is_refused_and_the_first_stays(package: str) -> None:
    things = registry_of(package)
    things.names()
    with pytest.raises(ValueError, match="'square' is registered twice"):
        things.register("square")("other")
    assert things["square"] == "four"
