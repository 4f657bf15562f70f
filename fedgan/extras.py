"""Optional parts: what needs an extra says so in one line, before any work is done."""

from __future__ import annotations

from importlib.util import find_spec

from fedgan.errors import UsageError


def require_extra(extra: str, *, package: str, wanted_by: str, key: str | None = None) -> None:
    """Raise UsageError unless `package`, which the optional dependencies `extra` install, is there.

    Args:
        extra: a name in `[project.optional-dependencies]` of pyproject.toml.
        package: the name it is installed by, such as "torch-fidelity"; it is found, not imported.
        wanted_by: what the user asked for, as the error names it.
        key: the configuration key that asked for it, if one did.
    """
    if find_spec(package.replace("-", "_")) is None:
        raise UsageError(f"{wanted_by} needs {package}: pip install 'fedgan[{extra}]'", key)
