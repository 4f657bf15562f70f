"""The `fedgan` command."""

from fedgan.cli.app import main

__all__ = ["main"]
