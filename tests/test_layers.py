"""The layers of the package hold: import-linter's contracts, and what they cannot see, checked by running."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_TORCH = [
    "fedgan",
    "fedgan.config",
    "fedgan.registry",
    "fedgan.seeding",
    "fedgan.files",
    "fedgan.extras",
    "fedgan.errors",
    "fedgan.privacy.events",
    "fedgan.privacy.plan",
    "fedgan.privacy.accounting",
    "fedgan.privacy.ledger",
    "fedgan.privacy.budget",
    "fedgan.audit.budget",
    "fedgan.audit.verify",
]


def test_the_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("module", NO_TORCH)
def test_auditing_loads_no_torch(module):
    """Also what a package's own __init__ or a third party would pull in, which the contracts cannot see."""
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {name.partition(".")[0] for name in done.stdout.split()} & {"torch", "torchvision", "opacus", "flwr", "ray"}
    assert heavy == set()
