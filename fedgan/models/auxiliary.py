"""A second head that scores classes: the auxiliary classifier of AC-GAN (Odena et al. 2017, arXiv:1610.09585)."""

from __future__ import annotations

from torch import Tensor, nn

from fedgan.models.discriminator import Discriminator


class AuxiliaryDiscriminator(nn.Module):
    """A discriminator whose features a linear layer scores classes of, without being told the label.

    Called, it answers as the discriminator in it does. Unlike the paper's, that one is told the label as well, so the
    two heads share no more than the features.

    Args:
        discriminator: of any family.
        num_classes: labels lie in [0, num_classes).
    """

    def __init__(self, discriminator: Discriminator, num_classes: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.classes = nn.Linear(discriminator.feature_count, num_classes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, C, H, W) in [-1, 1] and labels (N,) int64."""
        logits: Tensor = self.discriminator(images, labels)
        return logits

    def judge(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (N,) and, of the images alone, scores of the classes (N, num_classes)."""
        features = self.discriminator.features(images)
        return self.discriminator.score(features, labels), self.classes(features)
