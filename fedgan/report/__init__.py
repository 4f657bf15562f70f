"""Pictures of a run: what it made, who held what, what it cost in privacy, and what its discriminator looks at."""

from fedgan.report.attribution_picture import attribution_picture
from fedgan.report.budget_curve import budget_curve
from fedgan.report.confusion_picture import confusion_picture
from fedgan.report.partition_picture import partition_picture
from fedgan.report.sample_grid import sample_grid

__all__ = ["attribution_picture", "budget_curve", "confusion_picture", "partition_picture", "sample_grid"]
