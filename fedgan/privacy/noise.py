"""Sources of privacy noise.

`SecureNoise` cannot be predicted or replayed: it reads an AES-CTR keystream under a key from the operating system and
never touches the global generators of torch or NumPy. Its normals are floating-point numbers, and the gaps between
the representable sums of a float and such a number can reveal bits of the exact sum (Mironov 2012, "On significance of
the least significant bits for differential privacy"): `add_noise` therefore rounds every noisy sum to a coarse grid.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from torch import Tensor

_PAIRS = 1 << 15  # pairs of normals a block: its arrays (256 KiB each) stay in the cache
_GRID = 2.0**-20  # spacing of released numbers, in units of the power of two at or below the noise's deviation


class NoiseSource(Protocol):
    """Where a private computation takes its randomness from; a guarantee requires that nobody can predict it."""

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Return independent N(0, std^2) draws: float64 on the CPU, of `shape`."""
        ...

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent float64 draws, uniform over [0, 1)."""
        ...


class SecureNoise:
    """Cryptographic noise: AES-256 in counter mode, Box-Muller in float64 on 128-bit radii and 53-bit angles.

    So many bits keep the tails as fine as the middle: 53 would leave gaps beyond 6.5 standard deviations that are
    wider than the grid of `add_noise`, and nothing beyond 8.6; here the largest normal is sqrt(2 * 128 ln 2) = 13.3.
    A forked child rekeys itself, since parent and child would otherwise draw the same noise.
    """

    def __init__(self) -> None:
        self._rekey()

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Return independent N(0, std^2) draws: float64 on the CPU, of `shape`."""
        out = torch.empty(math.prod(shape), dtype=torch.float64)
        for part in out.split(2 * _PAIRS):
            pairs = (len(part) + 1) // 2
            first, second = _box_muller(self._open_uniform(pairs), self.uniform(pairs), std)
            part[:pairs] = first
            part[pairs:] = second[: len(part) - pairs]
        return out.reshape(shape)

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent float64 draws, multiples of 2^-53 uniform over [0, 1)."""
        words = np.frombuffer(self._keystream(8 * count), dtype=np.uint64) >> np.uint64(11)
        scaled: npt.NDArray[np.float64] = np.multiply(words, 2.0**-53, dtype=np.float64)
        return scaled

    def _open_uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` draws of the 128-bit uniform on (0, 1], each rounded to a float64 of full precision."""
        high, low = np.frombuffer(self._keystream(16 * count), dtype=np.uint64).reshape(2, count)
        return high * 2.0**-64 + (low | np.uint64(1)) * 2.0**-128

    def _keystream(self, size: int) -> bytes:
        if os.getpid() != self._owner:
            self._rekey()
        return self._cipher.update(bytes(size))

    def _rekey(self) -> None:
        self._owner = os.getpid()
        self._cipher: CipherContext = Cipher(AES(os.urandom(32)), CTR(os.urandom(16))).encryptor()


class SeededNoise:
    """Reproducible noise, for tests and for `privacy.level = "none"` only: who knows the seed knows the noise."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Return independent N(0, std^2) draws: float64 on the CPU, of `shape`."""
        return torch.from_numpy(np.asarray(self._rng.standard_normal(shape) * std))

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent float64 draws, uniform over [0, 1)."""
        return self._rng.random(count)


def add_noise(total: Tensor, std: float, noise: NoiseSource) -> Tensor:
    """Return `total` + N(0, std^2), on a grid that depends on `std` alone; with std = 0 a copy of `total`.

    Sum and noise are added in float64, whose resolution near the noise is some 2^32 times finer than the grid. Rounding
    to the grid is post-processing: what is released holds none of the low-order bits in which floating-point addition
    differs from real addition, as long as `total` stays below 2^20 standard deviations.

    Args:
        total: any shape and floating-point type, on any device; what the noise hides.
        std: standard deviation of the noise in the units of `total`, >= 0.
        noise: where the noise comes from.

    Raises:
        ValueError: `total` is no floating-point tensor: noise on integers would be truncated.
    """
    if not total.is_floating_point():
        raise ValueError(f"noise is for floating-point tensors, not {total.dtype}")
    if std == 0:
        return total.clone()
    spacing = _GRID * 2.0 ** math.floor(math.log2(std))
    noisy = noise.normal(tuple(total.shape), std).add_(total.detach().to("cpu", torch.float64))
    return noisy.div_(spacing).round_().mul_(spacing).to(total)


def add_noise_to_all(totals: Mapping[str, Tensor], std: float, noise: NoiseSource) -> dict[str, Tensor]:
    """Return `add_noise` of all `totals`, drawn at once, by name."""
    parts = torch.cat([total.flatten() for total in totals.values()])
    noisy = add_noise(parts, std, noise).split([total.numel() for total in totals.values()])
    return {name: part.view_as(totals[name]) for name, part in zip(totals, noisy, strict=True)}


def _box_muller(radius: npt.NDArray[np.float64], turn: npt.NDArray[np.float64], std: float) -> tuple[Tensor, Tensor]:
    """Return two vectors of n independent N(0, std^2) draws from n uniforms on (0, 1] and n on [0, 1).

    Both arguments are overwritten (Box and Muller 1958, "A note on the generation of random normal deviates").
    """
    lengths = torch.from_numpy(np.log(radius, out=radius)).mul_(-2.0 * std**2).sqrt_()
    angles = torch.from_numpy(turn).mul_(2.0 * math.pi)
    sine = torch.sin(angles)
    return angles.cos_().mul_(lengths), sine.mul_(lengths)
