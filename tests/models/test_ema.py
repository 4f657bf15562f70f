"""The moving average against its closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fedgan.models import ExponentialMovingAverage, build_generator


class Scale(nn.Module):
    """One weight and one buffer."""

    def __init__(self, weight: float, buffer: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.register_buffer("offset", torch.tensor([buffer]))


def test_average_is_the_discounted_sum_and_buffers_are_copied() -> None:
    average = ExponentialMovingAverage(Scale(1.0, 5.0))
    average.update(Scale(2.0, 6.0), 0.75)
    average.update(Scale(-4.0, 7.0), 0.5)
    torch.testing.assert_close(average.module.weight.data, torch.tensor([0.5 * 1.25 + 0.5 * -4.0]))
    torch.testing.assert_close(average.module.offset, torch.tensor([7.0]), rtol=0, atol=0)


def test_decay_zero_copies_and_decay_one_keeps() -> None:
    average = ExponentialMovingAverage(Scale(1.0, 0.0))
    average.update(Scale(0.3, 0.0), 1.0)
    assert average.module.weight.item() == 1.0
    average.update(Scale(0.3, 0.0), 0.0)
    torch.testing.assert_close(average.module.weight.data, torch.tensor([0.3]), rtol=0, atol=0)


def test_average_is_a_copy_that_no_optimiser_can_move() -> None:
    model = build_generator("dcgan", latent_dim=4, num_classes=2, image_shape=(1, 8, 8), width=2, seed=0)
    average = ExponentialMovingAverage(model)
    before = {key: tensor.clone() for key, tensor in average.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(average.state_dict()[key], before[key]) for key in before)
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.training
    assert not average.module.training


def test_state_dict_round_trip() -> None:
    source, target = ExponentialMovingAverage(Scale(1.5, 2.5)), ExponentialMovingAverage(Scale(0.0, 0.0))
    target.load_state_dict(source.state_dict())
    assert target.module.weight.item() == 1.5
    assert target.module.offset.item() == 2.5
    with pytest.raises(RuntimeError, match="Missing key"):
        target.load_state_dict({"weight": torch.zeros(1)})


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_outside_the_unit_interval_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        ExponentialMovingAverage(Scale(1.0, 0.0)).update(Scale(1.0, 0.0), decay)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        ExponentialMovingAverage(Scale(1.0, 0.0)).update(nn.Linear(1, 1), 0.5)
