"""No penalty."""

from __future__ import annotations

from fedgan.losses.penalty import PENALTIES

PENALTIES.register("none")(None)
