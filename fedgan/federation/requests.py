"""What a server may ask of a vault, and what may come out of one. Nothing else crosses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float32]]
"""Flat names such as "discriminator/layers.0.weight" to float32 arrays."""

GENERATED = "generated/images"
"""Name of the images (N, C, H, W) that go out in place of a generator; image i is of class i mod the classes."""
TARGET = "target/means"
"""Name of the embedding target (classes, features)."""


def quoted(name: str) -> str:
    """Return a name that a stranger gave, safe to print and short."""
    return repr(name)[:80]


@dataclass(frozen=True)
class Description:
    """Public facts of a client (client sizes are public in this design).

    Attributes:
        client: name of the client, for example "00003".
        records: training records it holds.
        image_shape: (channels, height, width) in pixels.
        num_classes: labels lie in [0, num_classes).
        ledger: its ledger's lines so far, where the ledger is not kept in the run folder itself.
        signature: the content of the file that signs them; "" for none.
    """

    client: str
    records: int
    image_shape: tuple[int, int, int]
    num_classes: int
    ledger: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)


@dataclass(frozen=True)
class EmbedRequest:
    """Ask for one noisy sum over all records: of class-wise features, or of moments in cells.

    Attributes:
        run: identifier of the run, for the ledger.
        features: dimension asked of the feature map, where its family has maps of several.
        feature_seed: draws the feature map; public.
        everybody: records of all clients together, from which sampling rates may follow; 0 where it is not said.
        compression: of the arrays of request and answer on their way; a vault sees none of it.
        stage: which release of the warm start it is, from 0.
        order: of the moments asked for, 1 or 2; 0 asks for features.
        arrays: the cells of the moments (see `fedgan.training.warm_start.Cells`), or the weights of learned features
            (see `fedgan.training.warm_start.LearnedMap`), computed from earlier releases alone.
        family: of the features, a name in the registry of feature families, or "learned".
    """

    run: str
    features: int
    feature_seed: int
    everybody: int = 0
    compression: str = "none"
    stage: int = 0
    order: int = 0
    arrays: Arrays = field(default_factory=dict, repr=False)
    family: str = "windows"


@dataclass(frozen=True)
class TrainRequest:
    """Ask for one round of local training.

    Attributes:
        run: identifier of the run, for the ledger.
        round: number of the round, from 1.
        steps: discriminator steps to take, which is what the round is charged for.
        first_step: discriminator steps of earlier rounds.
        discriminator_steps: discriminator steps for each generator step.
        arrays: the networks that the algorithm sends or the images that stand in for one, and the embedding target if
            generator steps are anchored to it.
        everybody: records of all clients together, from which sampling rates may follow; 0 where it is not said.
        compression: as in `EmbedRequest`.
        augmentation_chance: with which each augmentation is applied to an image, in [0, 1].
    """

    run: str
    round: int
    steps: int
    first_step: int
    discriminator_steps: int
    arrays: Arrays = field(repr=False)
    everybody: int = 0
    compression: str = "none"
    augmentation_chance: float = 1.0


@dataclass(frozen=True)
class Release:
    """What leaves a vault: arrays, and what was charged for them.

    With local trust the arrays are private already; otherwise the server, which is trusted with them, adds the noise
    that was charged.

    Attributes:
        client: name of the client.
        round: the round it answers; 0 for the warm start.
        arrays: float32 arrays.
        head: hash of the ledger's last line; empty where nothing is charged (level "none").
        noise_std: standard deviation of the noise of one mechanism in `arrays`; public, 0 for none.
        generator_steps: generator steps taken (public: a function of the request).
        fake_accuracy: accuracy in [0, 1] of the private discriminator on generated images (post-processing).
        ledger: the ledger's lines so far, `head` the last, where the ledger is not kept in the run folder itself.
        signature: the content of the file that signs them; "" for none.
        stage: which release of the warm start it is, from 0; 0 in rounds.
    """

    client: str
    round: int
    arrays: Arrays = field(repr=False)
    head: str = ""
    noise_std: float = 0.0
    generator_steps: int = 0
    fake_accuracy: float = 1.0
    ledger: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)
    stage: int = 0


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """A vault declines a request; `code` is all that the server learns."""

    BUDGET_SPENT = "budget_spent"
    BAD_REQUEST = "bad_request"
    FAILED = "failed"
    SITS_OUT = "sits_out"
    AGAINST_POLICY = "against_policy"
    UNAVAILABLE = "unavailable"
    CLOCK_BEHIND = "clock_behind"
    CODES = frozenset({BUDGET_SPENT, BAD_REQUEST, FAILED, SITS_OUT, AGAINST_POLICY, UNAVAILABLE, CLOCK_BEHIND})
    BEFORE_THE_COIN = frozenset({BUDGET_SPENT, BAD_REQUEST, AGAINST_POLICY, CLOCK_BEHIND})
    """What a client says before it has tossed its coin of level "client", so that it tells nothing of it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
