"""Why a private discriminator takes an image for real or for generated. Needs the extra `explanation`.

It reads a generator and a discriminator, which are private already: an explanation is post-processing and free.
"""

from fedgan.explain.attribution import Attribution, integrated_gradients
from fedgan.explain.classes import Explanation, explain_classes

__all__ = ["Attribution", "Explanation", "explain_classes", "integrated_gradients"]
