"""Families of features that records are summed in, one file each; see `fedgan.training.warm_start.registry`."""
