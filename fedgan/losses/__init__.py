"""Adversarial losses as functions of logits; each module of this package registers one.

Every function maps logits (N,) to losses (N,): how to reduce them is the training step's business, and clipping per
sample needs them apart. All are minimised.
"""

from fedgan.losses.registry import LOSSES, GanLoss, LogitLoss

__all__ = ["LOSSES", "GanLoss", "LogitLoss"]
