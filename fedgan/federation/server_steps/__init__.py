"""How one round's releases move the global networks, one way a file."""

from fedgan.federation.server_steps.averaging import NetworkAverage
from fedgan.federation.server_steps.base import ServerStep
from fedgan.federation.server_steps.gradients import GradientStep
from fedgan.federation.server_steps.updates import ClippedUpdates

__all__ = ["ClippedUpdates", "GradientStep", "NetworkAverage", "ServerStep"]
