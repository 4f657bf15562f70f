"""What a request of the warm start asks sums of, checked before anything is charged for it."""

from __future__ import annotations

from math import prod

import torch

from fedgan.errors import UsageError
from fedgan.federation.checks import arrays_fault
from fedgan.federation.requests import EmbedRequest, Refusal
from fedgan.models import ImageShape
from fedgan.training.warm_start import (
    LEARNED,
    Cells,
    ClassFeatures,
    LearnedMap,
    LocalMoments,
    learned_shapes,
    map_of,
)

_MOST_CELLS = 4096
_MOST_NUMBERS = 2**25  # of a sum: 256 MiB in float64


def asked_features(request: EmbedRequest, image_shape: ImageShape) -> ClassFeatures:
    """Return the map that a request of order 0 asks for, of features that are not learned."""
    return map_of(request.family, image_shape, features=request.features, seed=request.feature_seed)


def asked_map(request: EmbedRequest, image_shape: ImageShape, num_classes: int) -> ClassFeatures | LocalMoments:
    """Return the map from a record to its row that `request` asks for; a row has norm at most 1 whatever it says.

    Raises:
        Refusal: the order or the family of features is unknown, there is no map of as many features, or the cells or
            weights do not fit the images, are too many, or are not finite.
    """
    if request.order == 0 and request.family == LEARNED:
        if arrays_fault(request.arrays, learned_shapes(image_shape)):
            raise Refusal(Refusal.BAD_REQUEST)
        return LearnedMap(image_shape, {name: torch.from_numpy(array) for name, array in request.arrays.items()})
    if request.order == 0:
        # The sums, and the frequencies: one vector of pixels for two features.
        if not 0 <= request.features <= _MOST_NUMBERS // max(num_classes, prod(image_shape) // 8):
            raise Refusal(Refusal.BAD_REQUEST)
        try:
            return asked_features(request, image_shape)
        except UsageError:
            raise Refusal(Refusal.BAD_REQUEST) from None
    arrays = request.arrays
    if request.order not in (1, 2) or arrays.keys() != {"origins", "bases", "centres", "radii"}:
        raise Refusal(Refusal.BAD_REQUEST)
    coefficients, centres, bases = (
        LocalMoments.coefficients(image_shape),
        arrays["centres"].shape,
        arrays["bases"].shape,
    )
    if len(centres) != 3 or not 1 <= centres[1] <= _MOST_CELLS or not 1 <= centres[2] <= coefficients:
        raise Refusal(Refusal.BAD_REQUEST)
    whole = bases == (0, 0, 0)
    expected = {
        "origins": (num_classes, coefficients),
        "bases": (0, 0, 0) if whole else (num_classes, centres[2], coefficients),
        "centres": (num_classes, centres[1], coefficients if whole else centres[2]),
        "radii": (num_classes,),
    }
    numbers = num_classes * centres[1] * (1 + centres[2]) ** request.order
    if numbers > _MOST_NUMBERS or arrays_fault(arrays, expected) or not (arrays["radii"] > 0).all():
        raise Refusal(Refusal.BAD_REQUEST)
    cells = Cells(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    return LocalMoments(image_shape, cells, request.order)
