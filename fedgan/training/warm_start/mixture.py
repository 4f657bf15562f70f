"""Fits a mixture generator to releases of local moments, stage by stage: post-processing, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt

import torch
from torch import Tensor

from fedgan.models.cosines import MOST_COSINES, falling_spectrum
from fedgan.models.families.mixture import MixtureGenerator
from fedgan.training.warm_start.components import component_factors
from fedgan.training.warm_start.moments import Cells, LocalMoments
from fedgan.training.warm_start.readings import Readings, read
from fedgan.training.warm_start.shrinkage import clean_spectrum, kept_share

_SPREAD_RADIUS = 0.4
"""Radius about a class's mean within which records count in full, over the largest norm an image can have."""

_MOST_COORDINATES = 32
_FEWEST_COORDINATES = 4
_FEWEST_CELLS = 3
_RESOLUTION = 0.0042
"""Noise of a cell's moments over its records at which more cells blur more than they show. Like the other constants
here it was chosen on the training part of Fashion-MNIST, a public benchmark."""

_SHOWN = 6.5
"""Prior variance of a coefficient from which on its spread shows, over the noise of a class's moments over its records;
chosen there too."""
_FEWEST_COSINES = 4

_NARROWEST = 0.01
"""The smallest radius of a class over the largest, so that none is rounded to 0 on its way."""

_SPREAD = 0.9
"""Standard deviation of the first centres over that of the class."""


class MixtureFit:
    """The server's side of the warm start by local moments.

    Stage 0 releases class means, stage 1 second moments about them, of as many of the lowest cosines as the noise
    allows, from which each class gets coordinates: the directions of its spread that stand out of the noise. Each class
    is then divided into cells, as many as the noise allows and the generator has components, at first about random
    centres; the stages between move the centres to the means of their cells (Lloyd's algorithm), and the last one
    releases mean and second moments of every cell, for the components.
    Nothing here reads a record, so the noise of the releases is all that privacy needs.

    Args:
        generator: gets the components at the end.
        shares: each release's part of the precision 1/noise^2, at least 3 of them.
        rng_of: CPU generator of a stage, which draws centres; the same for every run of a seed.
        as_seen: what cells look like where records are placed in them, if they are rounded on their way there.

    Attributes:
        stage: releases absorbed so far.
    """

    def __init__(
        self,
        generator: MixtureGenerator,
        *,
        shares: Sequence[float],
        rng_of: Callable[[int], torch.Generator],
        as_seen: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = lambda arrays: arrays,
    ) -> None:
        self._generator = generator
        self._shares = tuple(shares)
        self._stages = len(self._shares)
        self._rng_of = rng_of
        self._as_seen = as_seen
        self.stage = 0
        channels, height, width = generator.image_shape
        self._largest = sqrt(channels * height * width)
        classes, coefficients = generator.num_classes, generator.means.shape[2]
        self._cells = Cells(
            origins=torch.zeros(classes, coefficients),
            bases=torch.zeros(0, 0, 0),
            centres=torch.zeros(classes, 1, coefficients),
            radii=torch.full((classes,), self._largest),
        )

    @property
    def order(self) -> int:
        """Order of the moments that the next stage releases."""
        return 2 if self.stage in (1, self._stages - 1) else 1

    @property
    def done(self) -> bool:
        """Whether every release is in and the generator has its components."""
        return self.stage == self._stages

    def arrays(self) -> dict[str, Tensor]:
        """Return the cells of the next stage, as a request carries them and a checkpoint keeps them."""
        return dict(vars(self._cells))

    def load(self, stage: int, arrays: dict[str, Tensor]) -> None:
        """Go on after `stage` releases with the cells in `arrays`."""
        self.stage, self._cells = stage, Cells(**arrays)

    def moments(self) -> LocalMoments:
        """Return what the next stage releases sums of."""
        return LocalMoments(self._generator.image_shape, self._seen(), self.order)

    def absorb(self, sums: Tensor, noise_std: float) -> None:
        """Move on by the total of a stage's noisy sums.

        Args:
            sums: (classes * cells, dimension) float64.
            noise_std: standard deviation of the noise in each coordinate; 0 for none.
        """
        readings = read(sums, self.moments(), self._generator.num_classes, noise_std)
        self._cells = self._seen()
        if self.stage == 0:
            self._cells = self._about_the_means(readings, noise_std)
        elif self.stage == 1:
            self._cells = self._in_coordinates(readings, noise_std)
        elif self.stage < self._stages - 1:
            self._move_centres(readings)
        else:
            self._finish(readings)
        self.stage += 1

    def _seen(self) -> Cells:
        return Cells(**self._as_seen(self.arrays()))

    def _about_the_means(self, readings: Readings, noise_std: float) -> Cells:
        origins = (readings.means[:, 0] * self._largest).float()
        radii = torch.full_like(self._cells.radii, _SPREAD_RADIUS * self._largest)
        chosen = self._cosines(self._next_noise(noise_std, 1) / _records(readings))
        if len(chosen) == origins.shape[1]:
            return Cells(origins, self._cells.bases, self._cells.centres, radii)
        bases = torch.eye(origins.shape[1])[chosen].repeat(len(origins), 1, 1)
        return Cells(origins, bases, torch.zeros(len(origins), 1, len(chosen)), radii)

    def _cosines(self, noise: float) -> Tensor:
        """Return the coefficients whose spread can be told from `noise`, of a class's moments over its records."""
        shape = self._generator.image_shape
        rows, columns = (min(MOST_COSINES, side) for side in shape[1:])
        variances = falling_spectrum(max(rows, columns), 1)[:, 0].square()
        count = max(_FEWEST_COSINES, int((variances >= _SHOWN * noise).sum()))
        low = (torch.arange(rows)[:, None] < count) & (torch.arange(columns) < count)
        return low.expand(shape[0], -1, -1).flatten().nonzero()[:, 0]

    def _next_noise(self, noise_std: float, stage: int) -> float:
        """Return the deviation of the noise that release `stage` will have if this stage's has `noise_std`."""
        return noise_std * sqrt(self._shares[self.stage] / self._shares[stage])

    def _in_coordinates(self, readings: Readings, noise_std: float) -> Cells:
        covariances, noise = readings.covariances[:, 0], readings.product_noise[:, 0]
        weights = readings.counts[:, 0] / readings.counts.sum()
        pooled = (weights[:, None, None] * covariances).sum(0)
        pooled_noise = float((weights * noise).square().sum().sqrt())
        size = len(pooled)
        kept = kept_share(covariances - pooled, noise, size * (size + 1) // 2)
        spectra = [
            clean_spectrum(
                pooled + share * (covariance - pooled),
                sqrt((float(share) * float(own)) ** 2 + ((1 - float(share)) * pooled_noise) ** 2),
            )
            for covariance, share, own in zip(covariances, kept, noise, strict=True)
        ]
        resolved = max(int((values > 0).sum()) for values, _ in spectra)
        count = min(max(resolved, _FEWEST_COORDINATES), _MOST_COORDINATES, size)
        values = torch.stack([values[:count] for values, _ in spectra]).clamp(min=1e-6)  # (classes, count)
        totals = values.sum(1).sqrt()
        shape = (len(values), self._cell_count(readings, noise_std), count)
        centres = torch.randn(shape, generator=self._rng_of(self.stage), dtype=torch.float64)
        centres = centres * _SPREAD * (values.sqrt() / totals[:, None])[:, None]
        return Cells(
            origins=self._cells.origins,
            bases=self._in_coefficients(torch.stack([vectors[:count] for _, vectors in spectra])),
            centres=centres.float(),
            radii=(totals.clamp(min=_NARROWEST * float(totals.max())) * _SPREAD_RADIUS * self._largest).float(),
        )

    def _in_coefficients(self, vectors: Tensor) -> Tensor:
        """Return `vectors` (classes, count, coordinates of this stage) in coefficients, float32."""
        bases = self._cells.bases
        return (vectors @ bases.double() if len(bases) else vectors).float()

    def _cell_count(self, readings: Readings, noise_std: float) -> int:
        """Return the cells of a class: fewer where the last release will be noisier."""
        components = self._generator.means.shape[1]
        last = self._next_noise(noise_std, -1)
        resolved = components if last == 0 else int(min(components, _RESOLUTION * _records(readings) / last))
        return min(components, max(_FEWEST_CELLS, resolved))

    def _move_centres(self, readings: Readings) -> None:
        centres = self._cells.centres.double() + readings.means
        rng = self._rng_of(self.stage)
        for label, counts in enumerate(readings.raw_counts):
            empty = counts < readings.count_floor
            if bool(empty.any()) and not bool(empty.all()):
                chosen = torch.multinomial(counts.clamp(min=0.0), int(empty.sum()), replacement=True, generator=rng)
                jitter = torch.randn(len(chosen), centres.shape[2], generator=rng, dtype=torch.float64)
                spread = self._cells.centres[label].double().std(0, correction=0)
                centres[label, empty] = centres[label, chosen] + 0.3 * jitter * spread
        self._cells = Cells(self._cells.origins, self._cells.bases, centres.float(), self._cells.radii)

    def _finish(self, readings: Readings) -> None:
        cells = self._cells
        bases, radii = cells.bases.double(), cells.radii.double()
        weights = torch.where(readings.raw_counts < readings.count_floor, 0.0, readings.raw_counts)
        weights = torch.where((weights > 0).any(1, keepdim=True), weights, torch.ones_like(weights))
        centres = cells.centres.double() + readings.means
        factors = component_factors(readings, weights, self._generator.latent_dim - 1)
        means = cells.origins.double()[:, None] + radii[:, None, None] * (centres @ bases)
        factors = radii[:, None, None, None] * (factors @ bases[:, None])
        unused = torch.zeros(self._generator.means.shape[1] - weights.shape[1], dtype=torch.int64)
        filled = torch.cat([torch.arange(weights.shape[1]), unused])  # a component without a cell copies the first
        weights = torch.cat([weights, weights.new_zeros(len(weights), len(unused))], dim=1)
        self._generator.set_components(weights.float(), means[:, filled].float(), factors[:, filled].float())


def _records(readings: Readings) -> float:
    """Return how many records a class has, on average."""
    return float(readings.counts.sum()) / len(readings.counts)


def most_numbers(generator: MixtureGenerator, stages: int) -> list[int]:
    """Return how many numbers each release of one client has, at most."""
    classes, components, coefficients = generator.means.shape
    coordinates = min(_MOST_COORDINATES, coefficients)
    means, moments = (1 + coefficients, 1 + coefficients + coefficients * (coefficients + 1) // 2)
    centres, cells = (1 + coordinates, 1 + coordinates + coordinates * (coordinates + 1) // 2)
    between = [components * centres] * (stages - 3)
    return [classes * numbers for numbers in (means, moments, *between, components * cells)]
