"""Writing a resolved configuration as TOML that `load_config` reads back equal."""

from __future__ import annotations

import json

from fedgan.config.flat import Scalar
from fedgan.config.schema import Config


def to_toml(config: Config) -> str:
    """Return `config` as TOML with every default written out."""
    lines: list[str] = []
    tables: list[str] = []
    for name, value in config.model_dump().items():
        if isinstance(value, dict):
            tables += ["", f"[{name}]", *(f"{key} = {_literal(item)}" for key, item in value.items())]
        else:
            lines.append(f"{name} = {_literal(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _literal(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
