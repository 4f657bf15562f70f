"""Pictures of a run: what it made, who held what and what it cost in privacy."""

from fedgan.report.budget_curve import budget_curve
from fedgan.report.partition_picture import partition_picture
from fedgan.report.sample_grid import sample_grid

__all__ = ["budget_curve", "partition_picture", "sample_grid"]
