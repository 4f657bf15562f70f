"""Early stopping by a signal that is charged already: a part of the warm start's release that no fit has seen."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fedgan.models import ExponentialMovingAverage
from fedgan.training.warm_start.embedding import EmbeddingTarget
from fedgan.training.warm_start.fit import embedding_loss
from fedgan.training.warm_start.rows import ClassFeatures

IMAGES_PER_CLASS = 200
"""Generated for each look."""
HELD_EVERY = 10
"""One in so many numbers of a row is held back."""


def held_back(dimension: int) -> Tensor:
    """Return which of a row's `dimension` numbers are watched and not fitted, bool: a tenth of them, at least one.

    They are drawn once for all, so that they are spread over scales and places however a family orders its numbers. The
    first, which carries a class's count, is never among them.
    """
    order = torch.randperm(dimension - 1, generator=torch.Generator().manual_seed(0)) + 1
    chosen = torch.zeros(dimension, dtype=torch.bool)
    chosen[order[: max(1, dimension // HELD_EVERY)]] = True
    return chosen


class FittedFeatures:
    """The rows of `feature_map` without what is held back: images (N, C, H, W) -> (N, dimension - held back)."""

    def __init__(self, feature_map: ClassFeatures) -> None:
        self._feature_map = feature_map
        self._kept = (~held_back(feature_map.dimension)).nonzero()[:, 0].to(feature_map.device)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the rows; differentiable."""
        rows: Tensor = self._feature_map(images)
        return rows[:, self._kept]

    def target(self, target: EmbeddingTarget) -> EmbeddingTarget:
        """Return `target` without what is held back."""
        return EmbeddingTarget(target.means[:, self._kept.cpu()], target.counts, target.noise_std)


class EarlyStopping:
    """Watches the averaged generator and remembers the best it was (Prechelt 1998, "Early stopping - but when?").

    There the error on validation records leads, which here would have to be charged. The warm start has released, and
    charged, noisy class means of features. A tenth of their coordinates is held back from every fit, and after each
    round in which the generator moved the squared distance of the generated images' class means to the released ones is
    taken in these. That is post-processing, so looking costs nothing however often it is done. The latents are the same
    every time; the noise of the release enters through its product with the generated means, so at small budgets it
    can decide between generators that are alike.

    Which generator was best may be chosen freely among releases that are charged. When training ends may not: an end
    that depends on private releases makes the epsilon of the rounds that were done an observation, not a guarantee
    (Rogers et al. 2016, "Privacy odometers and filters"). So where privacy is promised training goes on to its last
    round, and only the choice is left.

    Args:
        patience: looks without a better generator after which training ends, at least 1.
        rng: returns the CPU generator that draws the latents, at the same state each time.
        ends: whether training may end early; never where an epsilon is reported.

    Attributes:
        distance: what was seen last, up to a constant; None before the first look.
        round: the round after which that was.
        best: the least distance so far, infinite before the first look.
        best_round: the round that it was seen after.
        since: looks after that one.
    """

    def __init__(self, patience: int, rng: Callable[[], torch.Generator], *, ends: bool) -> None:
        self.patience = patience
        self.distance: float | None = None
        self.round = -1
        self.best = math.inf
        self.best_round = 0
        self.since = 0
        self._rng = rng
        self._ends = ends
        self._weights: dict[str, Tensor] = {}

    @property
    def over(self) -> bool:
        """Whether training should end."""
        return self._ends and self.since >= self.patience

    @property
    def words(self) -> str:
        """Why training ended."""
        rounds = "1 round" if self.since == 1 else f"{self.since} rounds"
        return f"no better generator in {rounds}; the one after round {self.best_round} is kept"

    def distance_after(self, round_number: int) -> float | None:
        """Return what was seen after round `round_number`, if that was the last look."""
        return self.distance if round_number == self.round else None

    def look(
        self, average: ExponentialMovingAverage, round_number: int, feature_map: ClassFeatures, target: EmbeddingTarget
    ) -> None:
        """Take the distance of `average` after round `round_number`, and keep its weights if it is the least so far."""
        self.distance, self.round = self._distance_of(average, feature_map, target), round_number
        if self.distance < self.best:
            self.best, self.best_round, self.since = self.distance, round_number, 0
            self._weights = {name: tensor.clone() for name, tensor in average.state_dict().items()}
        else:
            self.since += 1

    def settle(self, average: ExponentialMovingAverage) -> None:
        """Put `average` back to the best that it was."""
        if self._weights:
            average.load_state_dict(self._weights)

    def state(self) -> dict[str, Tensor]:
        """Return everything that a resumed run needs."""
        facts = torch.tensor([self.best, self.best_round, self.since], dtype=torch.float64)
        return {"facts": facts, **{f"weights/{name}": tensor for name, tensor in self._weights.items()}}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`, a result of `state`; KeyError where it is none."""
        best, best_round, since = state["facts"].tolist()
        self.best, self.best_round, self.since = best, int(best_round), int(since)
        prefix = "weights/"
        self._weights = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}

    @torch.no_grad()
    def _distance_of(
        self, average: ExponentialMovingAverage, feature_map: ClassFeatures, target: EmbeddingTarget
    ) -> float:
        classes, device = len(target.means), feature_map.device
        labels = torch.arange(classes, device=device).repeat(IMAGES_PER_CLASS)
        latents = torch.randn(len(labels), int(average.module.latent_dim), generator=self._rng())  # type: ignore[arg-type]
        seen = held_back(feature_map.dimension)
        chunks = zip(latents.to(device).split(500), labels.split(500), strict=True)
        rows = torch.cat([feature_map(average.module(*chunk))[:, seen.to(device)] for chunk in chunks])
        return float(embedding_loss(rows, labels, target.means[:, seen].to(device)))
