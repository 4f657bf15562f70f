"""A client's reply is looked at before it touches the model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedgan.federation.requests import Arrays, Release


def release_fault(release: Release, *, round_number: int, expected: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return in a few words what is wrong with `release`, or None if nothing is.

    Args:
        round_number: the round that was asked for.
        expected: shape of every array that must be there, by name.
    """
    if release.round != round_number:
        return f"answers round {release.round} instead of {round_number}"
    if not (np.isfinite(release.fake_accuracy) and 0 <= release.fake_accuracy <= 1):
        return f"fake_accuracy is {release.fake_accuracy}"
    if not (np.isfinite(release.noise_std) and release.noise_std >= 0):
        return f"noise_std is {release.noise_std}"
    if release.generator_steps < 0:
        return f"generator_steps is {release.generator_steps}"
    return arrays_fault(release.arrays, expected)


def arrays_fault(arrays: Arrays, expected: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the first fault in names, dtypes, shapes or values of `arrays`, or None."""
    if missing := sorted(expected.keys() - arrays.keys()):
        return f"array {missing[0]} is missing"
    if extra := sorted(arrays.keys() - expected.keys()):
        return f"array {extra[0]} was not asked for"
    for name, shape in expected.items():
        array = arrays[name]
        if array.dtype != np.float32:
            return f"array {name} is {array.dtype} instead of float32"
        if array.shape != shape:
            return f"array {name} has shape {array.shape} instead of {shape}"
        if not np.isfinite(array).all():
            return f"array {name} is not finite"
    return None
