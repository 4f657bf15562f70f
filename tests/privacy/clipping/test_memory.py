"""A logical batch of 8,192 rows fits in 2 GiB, since microbatches bound what is held at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process by itself is told by Linux alone")
def test_a_batch_of_8192_rows_in_microbatches_fits_in_2_gib() -> None:
    module = "simulations.benchmarks.discriminator_step"
    command = [sys.executable, "-m", module, "--memory", "28x28, 128 rows", "microbatches", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout)
    activations = 256 * 4 * 12_544  # bytes of the first layer's output on 256 rows
    assert activations / 1024 < grown < 2 * 1024 * 1024
