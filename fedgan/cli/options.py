"""Options that several commands share, and what their values mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedgan.errors import UsageError, bad_value

ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="TOML file; each in configs/ says how to run it.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as privacy.epsilon=1.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
LabelsOption = Annotated[str | None, typer.Option(help="Classes, joined by commas; default: all, equally often.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the latents.")]


def check_png(option: str, path: Path | None) -> None:
    """Raise UsageError if the value of `option` is given and names no PNG, the only kind of picture that is written."""
    if path is not None and path.suffix != ".png":
        raise UsageError(f"{option} {path}: give a name that ends in .png")


def parse_labels(labels: str | None, classes: int) -> list[int] | None:
    """Return the classes in the value of `--labels`; raises UsageError if one is no class of `classes`."""
    if labels is None:
        return None
    accepted = f"whole numbers from 0 to {classes - 1}, joined by commas"
    try:
        chosen = [int(label) for label in labels.split(",")]
    except ValueError:
        raise bad_value("--labels", labels, accepted) from None
    if not all(0 <= label < classes for label in chosen):
        raise bad_value("--labels", labels, accepted)
    return chosen
