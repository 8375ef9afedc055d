"""How large gradients and activations are in each layer, at each step of a training.

``GradientFlow`` is both a context and a probe for ``fit``::

    with GradientFlow(model) as flow:
        fit(model, train, epochs=5, probes=[flow])
    flow.read().gradients          # [steps, layers]

In a loop of your own, call ``flow()`` after ``loss.backward()`` and before the gradients are cleared. Norms
stay tensors on the device until ``read``: a step costs one small kernel for each layer, and no waiting for a
GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from utils.analysis.modules import find_layer, suggestion


@dataclass(frozen=True, eq=False)
class FlowRecord:
    """What a :class:`GradientFlow` has seen.

    - ``layers``: module paths, in the order in which the model has them. ``steps``: ``[S]`` int, the numbers
      of the steps.
    - ``gradients``: ``[S, L]``, Euclidean norm of the gradient of each layer's weight. ``weights``: of the
      weight itself, before the step. ``activations``: root mean square of each layer's output over batch,
      channels and places, so that layers of different sizes can be compared. Each float64; nan where a layer
      did not run or got no gradient.
    """

    layers: tuple[str, ...]
    steps: np.ndarray
    gradients: np.ndarray
    weights: np.ndarray
    activations: np.ndarray

    @property
    def relative(self) -> np.ndarray:
        """``[S, L]``: norm of the gradient divided by the norm of the weight."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.gradients / self.weights

    def of(self, layer: str, what: str = "gradients") -> np.ndarray:
        """``[S]``: the course of one layer. Raises ``ValueError`` for an unknown layer."""
        if layer not in self.layers:
            raise ValueError(f"no layer {layer!r} was recorded; {suggestion(layer, self.layers)}")
        return getattr(self, what)[:, self.layers.index(layer)]

    def __len__(self) -> int:
        return len(self.steps)


class GradientFlow:
    """Records gradients and activations of the layers that have a weight.

    ``layers``: module paths, each of a module with a parameter ``weight`` of its own; default: all with a
    weight of two or more dimensions, which are convolutions and linear layers and not normalizations.
    ``every``: record only the steps whose number it divides. ``activations=False`` records no outputs and
    needs no hooks.

    The model that is recorded is the one given here, also where ``fit`` compiles or moves it. Outputs are
    seen only inside the ``with``; of several passes before a step, the last one in training mode counts.
    Raises ``ValueError`` for a layer that is not there or has no weight.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str] | None = None,
        *,
        every: int = 1,
        activations: bool = True,
    ):
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be a whole number of at least 1, got {every!r}")
        self.modules = _chosen(getattr(model, "_orig_mod", model), layers)
        self.every, self.with_activations = every, activations
        self._handles: list[Any] = []
        self._seen: dict[str, Tensor] = {}
        self._steps: list[int] = []
        self._rows: list[Tensor] = []  # [3, L] each: gradients, weights, activations

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.modules)

    def __enter__(self) -> GradientFlow:
        if self._handles:
            raise ValueError("this GradientFlow is already recording")
        if self.with_activations:
            try:
                for name, module in self.modules.items():
                    self._handles.append(module.register_forward_hook(self._hook(name)))
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *exception: Any) -> None:
        while self._handles:
            self._handles.pop().remove()
        self._seen.clear()

    def _hook(self, name: str):
        def note(module: nn.Module, args: Any, output: Any) -> None:
            if module.training:
                tensor = next(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
                values = tensor.detach()
                # the norm needs no copy of the output, as a mean of squares would
                self._seen[name] = (
                    torch.linalg.vector_norm(values, dtype=torch.float32) / values.numel() ** 0.5
                )

        return note

    @torch.no_grad()
    def __call__(self, step: int | None = None, **unused: Any) -> None:
        """Record the present gradients.

        ``step`` defaults to one more than the last. ``fit`` also passes
        ``model``, ``loss``, ``x`` and ``y``, which are not needed.
        """
        if step is None:
            step = self._steps[-1] + 1 if self._steps else 0
        if step % self.every:
            return
        weights = [module.weight for module in self.modules.values()]
        nothing = torch.full((), torch.nan, device=weights[0].device)
        present = [weight.grad for weight in weights if weight.grad is not None]
        norms = iter(torch._foreach_norm(present)) if present else iter(())
        gradients = [nothing if weight.grad is None else next(norms).float() for weight in weights]
        sizes = [norm.float() for norm in torch._foreach_norm([weight.detach() for weight in weights])]
        outputs = [self._seen.get(name, nothing) for name in self.modules]
        rows = [
            torch.stack([value.to(nothing.device) for value in row]) for row in (gradients, sizes, outputs)
        ]
        self._rows.append(torch.stack(rows))
        self._steps.append(step)
        self._seen.clear()

    def read(self) -> FlowRecord:
        """What has been recorded so far. Waits for the device."""
        shape = (len(self._rows), 3, len(self.modules))
        table = torch.stack(self._rows).double().cpu().numpy() if self._rows else np.zeros(shape)
        gradients, weights, activations = (table[:, i].copy() for i in range(3))
        return FlowRecord(self.layers, np.array(self._steps, dtype=np.int64), gradients, weights, activations)


def _chosen(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Module]:
    owners = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module._parameters.get("weight"), Tensor)
    }
    if layers is None:
        chosen = {name: module for name, module in owners.items() if module.weight.ndim >= 2}
        if not chosen:
            raise ValueError(f"{type(model).__name__} has no convolution or linear layer")
        return chosen
    if isinstance(layers, str):
        raise ValueError(f"layers must be a list of module paths, got {layers!r}")
    for name in layers:
        module = find_layer(model, name)
        if name not in owners:
            raise ValueError(f"{name} ({type(module).__name__}) has no weight of its own")
    if not layers:
        raise ValueError("layers is empty")
    return {name: owners[name] for name in layers}
