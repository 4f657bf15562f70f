"""What a server knows of its warm start between two releases, one kind a file."""

from fedgan.federation.warm_start_state.base import WarmStartState
from fedgan.federation.warm_start_state.beginning import Beginning
from fedgan.federation.warm_start_state.kinds import beginning_of

__all__ = ["Beginning", "WarmStartState", "beginning_of"]
