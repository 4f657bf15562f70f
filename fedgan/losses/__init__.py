"""Adversarial losses as functions of logits, and penalties on gradients; each module registers one.

Every function maps logits (N,) to losses (N,): how to reduce them is the training step's business, and clipping per
sample needs them apart. All are minimised.
"""

from fedgan.losses.penalty import PENALTIES, Penalty
from fedgan.losses.registry import LOSSES, GanLoss, LogitLoss, gan_loss

__all__ = ["LOSSES", "PENALTIES", "GanLoss", "LogitLoss", "Penalty", "gan_loss"]
