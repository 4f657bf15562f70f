"""Named random streams: every use of randomness derives its own seed, so adding one never shifts another.

Streams derived here are reproducible and therefore public. Privacy noise and the choice of private records
under a privacy guarantee never use them (see `fedgan.privacy.noise`).
"""

from __future__ import annotations

import json
from hashlib import sha256


def derive_seed(seed: int, *path: str | int) -> int:
    """Return the seed of the stream named by `path` below `seed`: an integer in [0, 2**63).

    The same arguments give the same integer on every machine and Python version.
    """
    text = json.dumps([seed, *path])  # unlike a join, no two paths give the same text
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
