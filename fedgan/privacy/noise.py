"""Sources of privacy noise.

`SecureNoise` cannot be predicted or replayed: it reads an AES-CTR keystream under a key from the operating system and
never touches the global generators of torch or NumPy. What it does not promise: its normals are floating-point numbers,
and the gaps between the representable sums of a float and such a number can reveal bits of the exact sum (Mironov
2012, "On significance of the least significant bits for differential privacy"). The accounting takes the noise as
real-valued.
"""

from __future__ import annotations

import math
import os
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from torch import Tensor

_PAIRS = 1 << 15  # pairs of normals a block: its arrays (256 KiB each) stay in the cache


class NoiseSource(Protocol):
    """Where a private computation takes its randomness from.

    Attributes:
        secure: whether the stream is unpredictable, as a privacy guarantee requires.
    """

    secure: bool

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Return independent N(0, std^2) draws: float32 on the CPU, of `shape`."""
        ...

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent float64 draws, uniform over [0, 1)."""
        ...


class SecureNoise:
    """Cryptographic noise: AES-256 in counter mode, Box-Muller in float64 on 53-bit uniforms, then cast to float32.

    A forked child rekeys itself, since parent and child would otherwise draw the same noise.
    """

    secure = True

    def __init__(self) -> None:
        self._rekey()

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Return independent N(0, std^2) draws: float32 on the CPU, of `shape`."""
        out = torch.empty(math.prod(shape), dtype=torch.float32)
        for part in out.split(2 * _PAIRS):
            pairs = (len(part) + 1) // 2
            first, second = _box_muller(torch.from_numpy(self.uniform(2 * pairs)), std)
            part[:pairs] = first
            part[pairs:] = second[: len(part) - pairs]
        return out.reshape(shape)

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent float64 draws, multiples of 2^-53 uniform over [0, 1)."""
        words = np.frombuffer(self._keystream(8 * count), dtype=np.uint64) >> np.uint64(11)
        scaled: npt.NDArray[np.float64] = np.multiply(words, 2.0**-53, dtype=np.float64)
        return scaled

    def _keystream(self, size: int) -> bytes:
        if os.getpid() != self._owner:
            self._rekey()
        return self._cipher.update(bytes(size))

    def _rekey(self) -> None:
        self._owner = os.getpid()
        self._cipher: CipherContext = Cipher(AES(os.urandom(32)), CTR(os.urandom(16))).encryptor()


class SeededNoise:
    """Reproducible noise, for tests and for `privacy.level = "none"` only: who knows the seed knows the noise."""

    secure = False

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Return independent N(0, std^2) draws: float32 on the CPU, of `shape`."""
        draws = np.asarray(self._rng.standard_normal(shape)) * std
        return torch.from_numpy(np.asarray(draws, dtype=np.float32))

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent float64 draws, uniform over [0, 1)."""
        return self._rng.random(count)


def _box_muller(uniform: Tensor, std: float) -> tuple[Tensor, Tensor]:
    """Turn 2n uniforms on [0, 1), which it overwrites, into two vectors of n independent N(0, std^2) draws."""
    radius, angle = uniform.chunk(2)
    # 1 - u lies in (0, 1], so that the logarithm is finite; the largest normal is sqrt(2 * 53 ln 2) = 8.6.
    values = radius.numpy()
    np.log(np.subtract(1.0, values, out=values), out=values)
    radius.mul_(-2.0 * std**2).sqrt_()
    angle.mul_(2.0 * math.pi)
    sine = torch.sin(angle)
    return angle.cos_().mul_(radius), sine.mul_(radius)
