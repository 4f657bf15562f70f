"""Watches a forward pass and notes every use of a trainable parameter, without touching the module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from fedgan.privacy.clipping.layers import RULES, Rule
from fedgan.privacy.clipping.layers.contribution import Backward, Contribution


@dataclass(frozen=True)
class Use:
    """One call of a function with a rule.

    Args:
        weights: the call's arguments that depend on trainable parameters, by name: "weight", "bias" or both.
        output: where the gradient of the call's output is to be had.
        nodes: of the autograd graph that belong to the call.
    """

    weights: dict[str, Tensor]
    output: GradientEdge
    nodes: set[Node]
    _backward: Backward
    _input: Tensor
    _version: int

    def contributions(self, gradient: Tensor) -> Iterator[tuple[Tensor, Contribution]]:
        """Yield each weight with what it receives, given the gradient of the output."""
        if self._input._version != self._version:
            raise RuntimeError("the input of a layer with trainable parameters was changed in place after its use")
        found = self._backward(gradient.to(next(iter(self.weights.values())).dtype))
        for name, weight in self.weights.items():
            yield weight, found[name]


class Recorder(TorchFunctionMode):
    """Context in which each use of a trainable parameter by a function with a rule is noted in `uses`.

    Such functions get a copy of the parameter. So the parameters that the result of the forward pass still depends on,
    as the autograd graph tells, are those that were used in some other way: see `used_otherwise`.

    Args:
        inputs: of the module, each (N, …). Calls whose input is not computed from these (positions that are the same
            for all samples, say) or is not of shape (N, …) are left alone.
        parameters: the trainable parameters.
    """

    def __init__(self, inputs: Sequence[Tensor], parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.uses: list[Use] = []
        self._rows = len(inputs[0])
        self._trainable = {id(parameter) for parameter in parameters.values()}
        # Tensors computed from the inputs, as far as they need no gradient and so have no graph to tell.
        self._data = WeakTensorKeyDictionary(dict.fromkeys(inputs))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, and note the call if it has a rule."""
        kwargs, rule = kwargs or {}, RULES.get(func)
        if rule is None or not torch.is_grad_enabled():
            result = func(*args, **kwargs)
        else:
            result = self._call(func, rule, _signature(rule).bind(*args, **kwargs).arguments)
        if any(tensor in self._data for tensor in _tensors((*args, *kwargs.values()))):
            self._data.update(dict.fromkeys(tensor for tensor in _tensors((result,)) if not tensor.requires_grad))
        return result

    def used_otherwise(self, result: Tensor) -> set[int]:
        """Return the ids of parameters on which `result` depends by anything else than the outputs of `uses`.

        That is to say directly, or by a derivative of a call, whose graph goes by the call's output.
        """
        owners = {node: use for use in self.uses for node in use.nodes}
        found = {id(leaf) for leaf in leaves_behind(result)}
        for node, following in _steps(result):
            use = owners.get(following)
            if use and owners.get(node) is not use and following is not use.output.node:
                found.update(id(leaf) for weight in use.weights.values() for leaf in leaves_behind(weight))
        return found & self._trainable

    def _call(self, func: Callable[..., Any], rule: Rule, arguments: dict[str, Any]) -> Tensor:
        weights = {
            name: arguments[name]
            for name in ("weight", "bias")
            if arguments.get(name) is not None and self._is_trained(arguments[name])
        }
        source: Tensor = arguments["input"]
        by_rows = source.shape[:1] == (self._rows,) and (source.requires_grad or source in self._data)
        by_rows = by_rows and not is_functorch_wrapped_tensor(source)  # a forward pass that differentiates
        backward = rule(**arguments) if weights and by_rows else None
        if backward is None:
            output: Tensor = func(**arguments)
            return output
        copies = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        output = func(**(arguments | copies))
        if output._is_view():  # a change in place would detach a view, but no other tensor, from its gradient edge
            output = output.clone()
        edge, nodes = get_gradient_edge(output), _nodes_between(output, source)
        self.uses.append(Use(weights, edge, nodes, backward, source.detach(), source._version))
        return output

    def _is_trained(self, tensor: Tensor) -> bool:
        """Return whether `tensor` depends on trainable parameters and on nothing else that could be differentiated."""
        behind = leaves_behind(tensor)
        return bool(behind) and all(id(leaf) in self._trainable for leaf in behind)


_signature = cache(signature)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


def leaves_behind(result: Tensor) -> list[Tensor]:
    """Return the tensors at which the gradient of `result` would end up."""
    if not result.requires_grad:
        return []
    if result.grad_fn is None:
        return [result]
    ends = {following: None for _, following in _steps(result) if hasattr(following, "variable")}
    return [getattr(node, "variable") for node in ends]  # noqa: B009


def _steps(result: Tensor, until: Node | None = None) -> Iterator[tuple[Node, Node]]:
    """Yield each edge of the graph behind `result`, from node to node, without going beyond the node `until`."""
    waiting = [result.grad_fn] if result.grad_fn is not None else []
    seen = {*waiting, until}
    while waiting:
        node = waiting.pop()
        for following, _ in node.next_functions:
            if following is None:
                continue
            yield node, following
            if following not in seen:
                seen.add(following)
                waiting.append(following)


def _nodes_between(output: Tensor, source: Tensor) -> set[Node]:
    """Return the nodes that a call added to the graph, given what it put out and what it took in."""
    beyond = get_gradient_edge(source).node if source.requires_grad else None
    return {node for step in _steps(output, beyond) for node in step if node is not beyond}
