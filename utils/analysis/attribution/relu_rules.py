"""Other rules for the way back through a ReLU, in place of its derivative.

With y = max(0, x) and the gradient g that arrives at y, what goes on to x is

- gradient:                g where x > 0, else 0
- deconvnet:               g where g > 0, else 0
- guided backpropagation:  g where x > 0 and g > 0, else 0

A rule is hooked to the nodes of ReLUs in the graph that autograd has recorded for one forward pass. So it
reaches each ReLU however it was called: ``nn.ReLU``, also one module used in several places, ``F.relu``,
``torch.relu``, ``x.relu()``, and all of them in place. The hooks go with the graph.

What computes a ReLU without being one (``torch.maximum(x, zeros)``, ``torch.where``) cannot be known for one
and keeps its derivative; ``clamp`` at 0 is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

# (gradient by the derivative, gradient that arrived) -> gradient that goes on
Rule = Callable[[Tensor, Tensor], Tensor]

# operations of autograd that stand where a ReLU would: no paper says what the rules are for them
OTHER_RECTIFIERS = {
    "LeakyRelu": "a leaky ReLU",
    "PreluKernel": "a PReLU",
    "RreluWithNoise": "a randomized leaky ReLU",
    "Elu": "an ELU or SELU",
    "Celu": "a CELU",
    "Gelu": "a GELU",
    "Silu": "a SiLU",
    "Mish": "a Mish",
    "Hardswish": "a hard swish",
    "Hardtanh": "a ReLU6 or hard tanh",
    "Softplus": "a softplus",
    "Threshold": "a threshold",
    "Softshrink": "a soft shrink",
    "Hardshrink": "a hard shrink",
    "Glu": "a GLU",
}


def apply_rule(name: str, rule: Rule, score: Tensor, output: Any, modules: Modules) -> None:
    """Hook ``rule`` to every ReLU between the input and ``score``.

    Sigmoid, tanh and softmax keep their derivative: they are gates and saturate on both sides. Max pooling
    does too: its gradient goes to the place of the maximum, which is the "switch" of a deconvnet.

    Raises ``ValueError`` that names the place for another rectifier, for an operation with a backward pass of
    its own, and if there is no ReLU in the whole network (``output``): then the rule would say nothing.
    """
    relus = []
    for node in _graph(_made_by(score)):
        kind = _kind(node)
        if kind == "Relu":
            relus.append(node)
        problem = _problem(node, kind)
        if problem:
            raise ValueError(f"{name} is a rule for ReLU, and there is {problem} in {modules.place(node)}")
    if not relus and not any(_kind(node) == "Relu" for node in _graph(_made_by(output))):
        raise ValueError(
            f"{name} is a rule for ReLU, and there is none in this network: take the plain gradient"
        )
    for node in relus:
        node.register_hook(_hook(rule))


def _hook(rule: Rule) -> Callable[[Any, Any], tuple[Tensor]]:
    def replace(outgoing: tuple[Tensor], arriving: tuple[Tensor]) -> tuple[Tensor]:
        return (rule(outgoing[0], arriving[0]),)

    return replace


def _kind(node: Node) -> str:
    """``"Relu"`` for ``ReluBackward0``."""
    return re.sub(r"Backward\d*$", "", node.name())


def _problem(node: Node, kind: str) -> str | None:
    if kind in OTHER_RECTIFIERS:
        return OTHER_RECTIFIERS[kind]
    if kind in ("Clamp", "ClampMin") and isinstance(node._saved_min, int | float) and node._saved_min == 0:
        return "a clamp at 0 (if it is meant as a ReLU, write torch.relu)"
    # torch wraps modules that have backward hooks in an identity of this name
    if isinstance(node, BackwardCFunction) and kind != "BackwardHookFunction":
        return f"an operation with a backward pass of its own ({kind})"
    return None


def _made_by(tensors: Any) -> list[Node]:
    """The last node of each tensor in a nest of lists and dictionaries."""
    found = [t.grad_fn for t in tree_leaves(tensors) if isinstance(t, Tensor)]
    return [node for node in found if node is not None]


def _graph(ends: Iterable[Node], seen: set[Node] | None = None) -> list[Node]:
    """The nodes of the graph from ``ends`` down to the leaves, without those in ``seen``, which grows."""
    seen = set() if seen is None else seen
    nodes: list[Node] = []
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        nodes.append(node)
        waiting += [source for source, _ in node.next_functions if source is not None]
    return nodes


class Modules:
    """In which module each node of a graph was made, to name it in an error.

    Notes the tensors that enter and leave each module during a forward pass, by the nodes that they have
    then. A node that is first reached from one of them was made by the module that was running before.
    """

    def __init__(self, model: nn.Module):
        self.kinds = {name: type(module).__name__ for name, module in model.named_modules()}
        self._crossings: list[tuple[str, list[Node]]] = []
        self._running: list[str] = []

    def enter(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            self._note((args, kwargs))
            self._running.append(name)

        return hook

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._note(output)
        self._running.pop()

    def _note(self, tensors: Any) -> None:
        if self._running:
            self._crossings.append((self._running[-1], _made_by(tensors)))

    def place(self, node: Node) -> str:
        """A module path with its type, or the type of the network for what its own ``forward`` calls."""
        seen: set[Node] = set()
        for name, ends in self._crossings:
            if node in _graph(ends, seen):
                return f"{name} ({self.kinds[name]})" if name else f"the forward of {self.kinds[name]}"
        return f"the forward of {self.kinds['']}"


@contextmanager
def noting_modules(model: nn.Module) -> Iterator[Modules]:
    """Hooks for :class:`Modules` during a forward pass."""
    modules = Modules(model)
    handles = []
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(modules.enter(name), with_kwargs=True))
            handles.append(module.register_forward_hook(modules.leave))
        with _VisibleInPlaceRelu():
            yield modules
    finally:
        for handle in handles:
            handle.remove()


class _VisibleInPlaceRelu(TorchFunctionMode):
    """Writes ``relu_(x)`` as ``x.copy_(relu(x))``.

    The result is the same, but where x is a view of another tensor, autograd would hide the ReLU inside a
    node for "something was written into a part of it".
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (torch.relu_, Tensor.relu_):
            return _write_relu(*args, **kwargs)
        if function is nn.functional.relu:
            return _functional_relu(*args, **kwargs)
        return function(*args, **kwargs)


def _functional_relu(input: Tensor, inplace: bool = False) -> Tensor:
    return _write_relu(input) if inplace else torch.relu(input)


def _write_relu(input: Tensor) -> Tensor:
    return input.copy_(torch.relu(input))
