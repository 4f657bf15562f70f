"""The networks as training steps call them: in reduced precision, or with something else beside each logit.

What a critic puts out for N rows are their logits (N,) or, with a class's log-probability beside each, pairs (N, 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import grad
from torch.nn.functional import cross_entropy

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


def logits_of(output: Tensor) -> Tensor:
    """Return the logits (N,) in what a critic puts out, (N,) or (N, 2)."""
    return output if output.dim() == 1 else output[:, 0]


class ClassifyingCritic(nn.Module):
    """A discriminator that also tells how well it recognises each row's class.

    Args:
        discriminator: has a method `judge` as that of `fedgan.models.auxiliary.AuxiliaryDiscriminator`.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return pairs (N, 2) for images (N, C, H, W) and labels (N,): each logit, and its label's log-probability.

        Both are the higher, the more the row passes for a real image of its class.
        """
        logits, scores = self.discriminator.judge(images, labels)  # type: ignore[operator]
        return torch.stack([logits, -cross_entropy(scores, labels, reduction="none")], dim=1)


class PenalisedCritic(Differentiating):
    """A discriminator that also tells how steep it is.

    Args:
        discriminator: maps images (N, C, H, W) and labels (N,) to logits (N,) or pairs (N, 2), row by row.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, labels: Tensor, points: Tensor | None = None) -> Tensor:
        """Return the logit or the pair of each image, and last the norm of the logit's gradient there or at `points`.

        So what comes out is (N, 2) for logits and (N, 3) for pairs. No class's log-probability enters the norm.

        Args:
            images: (N, C, H, W) in [-1, 1].
            labels: (N,).
            points: images (N, C, H, W) at which to take the gradient, under the same labels.
        """

        def logits_at(rows: Tensor) -> tuple[Tensor, Tensor]:
            output: Tensor = self.discriminator(rows, labels)
            return logits_of(output).sum(), output  # rows do not mix, so the sum's gradient holds each row's own

        gradients, output = grad(logits_at, has_aux=True)(images if points is None else points)
        norms = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
        return torch.column_stack([output if points is None else self.discriminator(images, labels), norms])


class CopiesCritic(Differentiating):
    """A discriminator that is shown several copies of each row.

    Its layers see more rows than there are records, so no rule by layers knows which belong together: the gradient of a
    record is taken as a whole.

    Args:
        discriminator: maps images (N, C, H, W) and labels (N,) to logits (N,) or pairs (N, 2), row by row.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, *others: Tensor) -> Tensor:
        """Return logits (N, K) or pairs (N, K, 2) of K copies of N rows.

        Args:
            images: (N, K, C, H, W).
            others: labels and what else there is, (N,).
        """
        rows, copies = images.shape[:2]
        repeated = (values.repeat_interleave(copies) for values in others)
        output: Tensor = self.discriminator(images.flatten(0, 1), *repeated)
        return output.view(rows, copies, *output.shape[1:])
