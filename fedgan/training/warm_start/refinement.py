"""What the last release of the warm start by local moments teaches, by the family of its features."""

from __future__ import annotations

from torch import nn

from fedgan.models.families.mixture import begin_refinement


def refines_all(family: str) -> bool:
    """Return whether a release of features of `family` teaches a mixture's means and factors beside its convolutions.

    Random convolutions tell edges and textures and little of the whole, so they teach the convolutions alone.
    """
    return family != "convolutions"


def begin_refinement_by(generator: nn.Module, family: str) -> list[nn.Parameter]:
    """Prepare a mixture `generator` to be fitted to features of `family` and return the parameters to fit.

    ValueError for another generator.
    """
    return begin_refinement(generator, everything=refines_all(family))
