"""Commands whose modules are imported when they are called, or when all are listed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
import typer
from typer.core import TyperGroup


def commands_in_modules(*names: str) -> type[TyperGroup]:
    """Return a kind of group that has, beside its own commands, those that `fedgan.cli.NAME` defines as NAME."""

    class Commands(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            # Stand-ins, by which a misspelt name finds the nearest.
            self.commands = {**{name: click.Command(name) for name in names}, **self.commands}

        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(self.commands)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return _load(cmd_name) if cmd_name in names else super().get_command(ctx, cmd_name)

    return Commands


def _load(name: str) -> click.Command:
    command = getattr(import_module(f"fedgan.cli.{name}"), name)
    if isinstance(command, typer.Typer):
        group = typer.main.get_group(command)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name)(command)
    return typer.main.get_command(alone)
