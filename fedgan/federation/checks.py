"""A client's reply is looked at before it touches the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fedgan.federation.requests import Arrays, Release, quoted

_LARGEST_NOISE = 1e18  # its square is still a float32


def sift(
    releases: Sequence[Release], fault_of: Callable[[Release], str | None]
) -> tuple[list[Release], dict[str, str]]:
    """Return the good releases sorted by client, so that sums do not depend on arrival, and the others' faults."""
    good: dict[str, Release] = {}
    refused: dict[str, str] = {}
    for release in releases:
        if fault := fault_of(release):
            refused[release.client] = fault
        elif release.client in good:
            refused[release.client] = "answered twice"
        else:
            good[release.client] = release
    for client in refused:
        good.pop(client, None)
    return [good[client] for client in sorted(good)], refused


def release_fault(
    release: Release, *, round_number: int, steps: int, expected: Mapping[str, tuple[int, ...]], stage: int = 0
) -> str | None:
    """Return in a few words what is wrong with `release`, or None if nothing is.

    Args:
        round_number: the round that was asked for.
        steps: discriminator steps that were asked for; no more generator steps go with them.
        expected: shape of every array that must be there, by name.
        stage: the release of the warm start that was asked for; 0 in rounds.
    """
    if release.round != round_number:
        return f"answers round {release.round} instead of {round_number}"
    if release.stage != stage:
        return f"answers stage {release.stage} of the warm start instead of {stage}"
    if not 0 <= release.fake_accuracy <= 1:
        return f"fake_accuracy is {release.fake_accuracy}"
    if not 0 <= release.noise_std <= _LARGEST_NOISE:
        return f"noise_std is {release.noise_std}"
    if not 0 <= release.generator_steps <= steps:
        return f"generator_steps is not in [0, {steps}]"
    return arrays_fault(release.arrays, expected)


def arrays_fault(arrays: Arrays, expected: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the first fault in names, dtypes, shapes or values of `arrays`, or None."""
    if missing := sorted(expected.keys() - arrays.keys()):
        return f"array {missing[0]} is missing"
    if extra := sorted(arrays.keys() - expected.keys()):
        return f"array {quoted(extra[0])} was not asked for"
    for name, shape in expected.items():
        array = arrays[name]
        if array.dtype != np.float32:
            return f"array {name} is {array.dtype} instead of float32"
        if array.shape != shape:
            return f"array {name} has shape {array.shape} instead of {shape}"
        if not np.isfinite(array).all():
            return f"array {name} is not finite"
    return None
