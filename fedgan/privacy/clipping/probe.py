"""What a module does to rows, found out on made-up ones before it sees any sample.

Types of layers tell of the usual ways in which samples are mixed. They do not tell of functions called in a forward
pass, such as minibatch standard deviation (Karras et al. 2018, arXiv:1710.10196, section 3), or of layers that take the
samples along another dimension than the first, which shows only by its size.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.weak import WeakTensorKeyDictionary

from fedgan.errors import UsageError
from fedgan.privacy.clipping.recorder import Recorder

_LOG = logging.getLogger(__name__)
_ROWS = (2, 3, 16)
"""No other dimension is of two of these sizes, and among the most of them some rows get through rectifiers."""


_FOUND: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""By first trainable parameter and type of module, as critics are wrapped anew in each step."""


def without_rule(
    module: nn.Module, inputs: tuple[Tensor, ...], parameters: dict[str, nn.Parameter], *, differentiating: bool = False
) -> str:
    """Return a parameter that is used otherwise than by functions with a rule on rows along dimension 0, or "".

    Args:
        module: in training mode; its buffers and the global random state are left as they were.
        inputs: what it will be called with; only shapes, types and devices are looked at.
        parameters: its trainable parameters by name.
        differentiating: its forward pass differentiates itself, so no rule is looked for; it may still not mix rows.

    Raises:
        UsageError: the output of one row depends on another row, or a buffer depends on rows.
    """
    if not parameters:
        return ""
    found: dict[type[nn.Module], str] = _FOUND.setdefault(next(iter(parameters.values())), {})
    if type(module) not in found:
        found[type(module)] = _tried(module, inputs, parameters, differentiating)
    return found[type(module)]


def _tried(
    module: nn.Module, inputs: tuple[Tensor, ...], parameters: dict[str, nn.Parameter], differentiating: bool
) -> str:
    devices = {part.device for part in inputs if part.device.type == "cuda"}
    others: set[int] = set()
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.default_generator.manual_seed(0)
        for rows in _ROWS:
            made_up = tuple(_made_up(part, rows) for part in inputs)
            buffers = _copies(module)
            recorder = Recorder(made_up, parameters)
            try:
                with nullcontext() if differentiating else recorder:
                    output = functional_call(module, buffers, tuple(part.clone() for part in made_up))
                _refuse_dependence(module, output, made_up, differentiating)
                _refuse_memory(module, inputs, rows)
            except UsageError:
                raise
            except Exception as error:  # whatever a forward pass may raise on rows that are not its own
                _warn_once(type(module).__name__, f"{type(error).__name__}: {error}")
                return ""
            others |= set() if differentiating else recorder.used_otherwise(output)
    return next((name for name, parameter in parameters.items() if id(parameter) in others), "")


def _made_up(part: Tensor, rows: int) -> Tensor:
    shape = (rows, *part.shape[1:])
    if part.is_floating_point():
        return (torch.rand(shape, device=part.device, dtype=part.dtype) * 2 - 1).requires_grad_()
    return torch.zeros(shape, device=part.device, dtype=part.dtype)


def _refuse_dependence(module: nn.Module, output: Tensor, inputs: tuple[Tensor, ...], differentiating: bool) -> None:
    """Refuse `module` if another row has a slope; one that is not finite counts, but where the module differentiates.

    There, the root of a derivative that vanishes on made-up rows has no slope of its own.
    """
    parts = [part for part in inputs if part.requires_grad]
    if not parts or not output.requires_grad:
        return
    slopes = torch.autograd.grad(output[0].float().sum(), parts, retain_graph=True, allow_unused=True)
    others = [slope[1:] for slope in slopes if slope is not None]
    if differentiating:
        others = [slope.nan_to_num(0.0, 0.0, 0.0) for slope in others]
    if any(bool((slope != 0).any()) for slope in others):
        raise UsageError(
            f"the forward pass of {type(module).__name__} mixes the samples of a batch (the output of one depends on "
            "another), so no sample's influence can be bounded: leave such statistics out of the model (model.name)"
        )


def _refuse_memory(module: nn.Module, inputs: tuple[Tensor, ...], rows: int) -> None:
    """Refuse `module` if it keeps something of the rows in a buffer, which goes on to where no noise was added.

    What a forward pass makes of weights alone, as spectral norm does, is the same after any rows, and any number of
    them: how many a Poisson sample has is private too.
    """
    after = []
    with torch.random.fork_rng(devices=[]):
        for made_up in [tuple(_made_up(part, count) for part in inputs) for count in (rows, rows + 1)]:
            buffers = _copies(module)
            torch.default_generator.manual_seed(0)
            functional_call(module, buffers, made_up)
            after.append(buffers)
    for name, buffer in after[0].items():
        if not torch.allclose(buffer.double(), after[1][name].double(), rtol=1e-4, atol=1e-6, equal_nan=True):
            raise UsageError(
                f"the forward pass of {type(module).__name__} keeps what it sees of samples in its buffer {name!r}, "
                "which no noise covers: leave such statistics out of the model (model.name)"
            )


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


@cache
def _warn_once(model: str, reason: str) -> None:
    message = "%s could not be tried on made-up rows (%s): that it does not mix samples is known of its layers alone"
    _LOG.warning(message, model, reason)
