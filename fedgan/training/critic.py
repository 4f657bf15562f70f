"""The networks as training steps call them: in reduced precision, or with the gradient of each logit beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import grad

from fedgan.errors import bad_value
from fedgan.privacy.clipping import Differentiating

_OPACUS = "privacy.clipping_engine = 'opacus'"


class ReducedPrecision(nn.Module):
    """A module whose forward pass runs in bfloat16 where torch's autocast says so, and returns float32.

    Parameters stay in float32, and so do all gradients of them: sums over positions or rows are accumulated there.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the module makes of `inputs`, in float32."""
        with torch.autocast(inputs[0].device.type, dtype=torch.bfloat16):
            output: Tensor = self.module(*inputs)
        return output.float()


def check_clipping_engine(engine: str, *, penalty: str, precision: str, copies: int = 1) -> None:
    """Raise UsageError if the clipping engine `engine` cannot do what a step would ask of it."""
    if engine != "opacus":
        return
    if copies > 1:
        accepted = f"1 with {_OPACUS}, whose hooks take each row of a layer for a record"
        raise bad_value("training.augmentation_copies", copies, accepted)
    if penalty != "none":
        raise bad_value("loss.penalty", penalty, f"'none' with {_OPACUS}, whose hooks see one derivative of each layer")
    if precision != "float32":
        raise bad_value("training.precision", precision, f"'float32' with {_OPACUS}, whose hooks do not mix precisions")


class PenalisedCritic(Differentiating):
    """A discriminator that also tells how steep it is.

    Args:
        discriminator: maps images (N, C, H, W) and labels (N,) to logits (N,), row by row.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, labels: Tensor, points: Tensor | None = None) -> Tensor:
        """Return (N, 2): the logit of each image, and the norm of the logit's gradient there or at `points`.

        Args:
            images: (N, C, H, W) in [-1, 1].
            labels: (N,).
            points: images (N, C, H, W) at which to take the gradient, under the same labels.
        """

        def logits_at(rows: Tensor) -> tuple[Tensor, Tensor]:
            logits: Tensor = self.discriminator(rows, labels)
            return logits.sum(), logits  # rows do not mix, so the sum's gradient holds each row's own

        gradients, logits = grad(logits_at, has_aux=True)(images if points is None else points)
        norms = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
        return torch.stack([logits if points is None else self.discriminator(images, labels), norms], dim=1)


class CopiesCritic(Differentiating):
    """A discriminator that is shown several copies of each row.

    Its layers see more rows than there are records, so no rule by layers knows which belong together: the gradient of a
    record is taken as a whole.

    Args:
        discriminator: maps images (N, C, H, W) and labels (N,) to logits (N,), row by row.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, *others: Tensor) -> Tensor:
        """Return the logits (N, K) of K copies of N rows, images (N, K, C, H, W); labels and others are (N,)."""
        rows, copies = images.shape[:2]
        repeated = (values.repeat_interleave(copies) for values in others)
        logits: Tensor = self.discriminator(images.flatten(0, 1), *repeated)
        return logits.view(rows, copies)
