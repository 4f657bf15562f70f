"""Per-sample clipping: the sum of per-sample gradients, each scaled to at most a given L2 norm."""

from fedgan.privacy.clipping.engine import (
    ENGINES,
    ClippingEngine,
    Differentiating,
    LossFunction,
    clipped_gradient_sum,
)

__all__ = ["ENGINES", "ClippingEngine", "Differentiating", "LossFunction", "clipped_gradient_sum"]
