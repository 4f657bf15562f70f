"""How a warm start divides what it may spend between its releases."""

from __future__ import annotations

from fedgan.errors import bad_value
from fedgan.training.warm_start.refinement import refines_all

_MEANS, _SPREADS, _CENTRES, _MOMENTS = 0.08, 0.32, 0.15, 0.45
"""Chosen on the training part of Fashion-MNIST, a public benchmark."""
_REFINEMENT, _REFINEMENT_OF_ALL = 0.2, 0.55
"""Of a last release that teaches convolutions alone, and of one that teaches means and factors too; chosen there."""
_FIRST = 0.6
"""Of the first of several mean embeddings, of features that nobody has learned; set without a trial."""
MOST_EMBEDDINGS = 10


def embedding_shares(stages: int) -> tuple[float, ...]:
    """Return each release's part of the precision 1/z^2 of a warm start by mean embedding; 1 in sum.

    The first is of features drawn without data, the others, of features learned on what was released before, share the
    rest equally.

    Raises:
        UsageError: there is no release, or there are more than `MOST_EMBEDDINGS`.
    """
    if not 1 <= stages <= MOST_EMBEDDINGS:
        accepted = f"an integer from 1 to {MOST_EMBEDDINGS} with training.warm_start = 'mean_embedding'"
        raise bad_value("training.warm_start_stages", stages, accepted)
    if stages == 1:
        return (1.0,)
    return (_FIRST, *((1.0 - _FIRST) / (stages - 1) for _ in range(stages - 1)))


def stage_shares(stages: int, refined_by: str = "") -> tuple[float, ...]:
    """Return each release's part of the precision 1/z^2 of a warm start by local moments; 1 in sum.

    The first release is for class means, the second for their spreads, then come those for the cells' centres, which
    share one part equally, and the one for the moments of the cells. With 3 stages no release moves the centres. If the
    generator is to be refined, one more release follows, of features of the family `refined_by`.

    Raises:
        UsageError: there are fewer than 3 stages.
    """
    if stages < 3:
        raise bad_value(
            "training.warm_start_stages", stages, "an integer of at least 3 with training.warm_start = 'mixture'"
        )
    between = stages - 3
    centres = tuple(_CENTRES / between for _ in range(between))
    moments = (_MEANS, _SPREADS, *centres, 1.0 - _MEANS - _SPREADS - sum(centres))
    if not refined_by:
        return moments
    last = _REFINEMENT_OF_ALL if refines_all(refined_by) else _REFINEMENT
    return (*((1 - last) * share for share in moments), last)
