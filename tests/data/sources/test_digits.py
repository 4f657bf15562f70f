from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from fedgan.data import load_data


def test_every_fifth_digit_is_a_test_record() -> None:
    split = load_data("digits", root=None, image_size=0, channels=0)
    values, labels = load_digits(return_X_y=True)
    held_out = np.arange(1797) % 5 == 0
    for part, chosen, count in ((split.train, ~held_out, 1437), (split.test, held_out, 360)):
        assert len(part) == count
        assert part.num_classes == 10
        assert part.owners is None
        assert part.labels.tolist() == labels[chosen].tolist()
        images, _ = part.batch(torch.arange(count))
        # A level of 255 is 1 / 127.5 of the range, so rounding moves a pixel by at most half of that.
        expected = torch.from_numpy(values[chosen] / 8 - 1).view(-1, 1, 8, 8).float()
        torch.testing.assert_close(images, expected, rtol=0, atol=0.5 / 127.5 + 1e-6)
        assert images.min().item() == -1
        assert images.max().item() == 1
