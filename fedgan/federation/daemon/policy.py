"""The site's own limits, against which every request is held: a server proposes, the site decides."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from fedgan.config import Config
from fedgan.federation.components import learned_releases
from fedgan.federation.daemon.site import Policy
from fedgan.models import ImageShape, count_weights
from fedgan.privacy.plan import PrivacyPlan
from fedgan.training.warm_start import learned_shapes

_BYTES_A_WEIGHT = 4
_ROOM = 2**20  # bytes for the configuration and the names of arrays


class AgainstPolicy(Exception):  # noqa: N818 - a reason for a refusal, not an error
    """A request that the site does not allow; the text is for the site's own log."""


def check_config(policy: Policy, config: Config) -> None:
    """Raise AgainstPolicy for a `config` that asks for what this site does not allow."""
    privacy = config.privacy
    _one_of("federation.algorithm", config.federation.algorithm, policy.algorithms)
    _one_of("privacy.level", privacy.level, policy.levels)
    _at_most("federation.local_steps", config.federation.local_steps, policy.most_steps)
    if privacy.level == "none":
        return
    _one_of("privacy.trust", privacy.trust, policy.trusts)
    _at_most("privacy.clip", privacy.clip, policy.largest_clip)
    _at_most("privacy.delta", privacy.delta, policy.delta)


def check_weights(policy: Policy, config: Config, *, image_shape: ImageShape, num_classes: int) -> None:
    """Raise AgainstPolicy for networks and features of more weights than this site builds; none is built here."""
    weights = count_weights(
        config.model.name,
        latent_dim=config.model.latent_dim,
        width=config.model.width,
        num_classes=num_classes,
        image_shape=image_shape,
        auxiliary=config.loss.auxiliary_weight > 0,
    )
    if config.training.warm_start != "none":
        features = config.training.warm_start_features
        weights += features // 2 * prod(image_shape) + (features + 1) * num_classes
    if learned_releases(config):
        weights += sum(map(prod, learned_shapes(image_shape).values()))
    if weights > policy.most_weights:
        raise AgainstPolicy(
            f"model.width = {config.model.width}, model.latent_dim = {config.model.latent_dim} and "
            f"training.warm_start_features = {config.training.warm_start_features} make {weights} weights, "
            f"over {policy.most_weights}"
        )


def check_size(policy: Policy, size: int) -> None:
    """Raise AgainstPolicy for a request of more bytes than the allowed weights take; call it before decoding."""
    if size > (limit := _BYTES_A_WEIGHT * policy.most_weights + _ROOM):
        raise AgainstPolicy(f"the request has {size} bytes, over {limit}")


def check_plan(policy: Policy, plan: PrivacyPlan) -> None:
    """Raise AgainstPolicy for a `plan` with less noise than this site wants, in the warm start or in a step."""
    if plan.level == "none":
        return
    for name, noise in (("warm start", plan.warm_start_noise), ("steps", plan.noise_multiplier)):
        if 0 < noise < policy.least_noise:
            raise AgainstPolicy(f"the noise multiplier of the {name} is {noise:.4g}, under {policy.least_noise:g}")


def _one_of(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise AgainstPolicy(f"{key} = {value!r} is not among {', '.join(allowed) or 'none'}")


def _at_most(key: str, value: float, limit: float) -> None:
    if value > limit:
        raise AgainstPolicy(f"{key} = {value:g} is over {limit:g}")
