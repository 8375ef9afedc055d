"""What each layer of a network costs: parameters, multiply-adds and activation bytes, for one example.

``account`` runs the network once, in evaluation mode and without touching its weights, and writes down what
ran. Multiply-adds are half the floating-point operations that ``torch.utils.flop_counter`` counts: one
multiplication and one addition are one multiply-add (many papers call these "FLOPs").

Counted are convolutions (also transposed; padding counts as input), linear layers, matrix products and
attention, wherever they are called. Not counted, though it takes time: biases, normalisation, activations,
pooling, additions of shortcuts and all other element-wise work.

A layer of which the dense operation is not the right count declares its own with a method ``count_macs(x,
output) -> int``: the multiply-adds of one call for its (first) input and its output. It replaces what the
layer itself would be counted with, not what the modules inside it are. ``utils.models.lenet`` has three: a
convolution with missing connections, trainable subsampling, RBF units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from utils.analysis.modules import evaluation_mode
from utils.analysis.text_table import TextTable

if TYPE_CHECKING:
    import pandas as pd

BYTES_PER_VALUE = 4  # float32, whatever the model's own type
NOTES = (
    "MACs are multiply-adds of convolutions, linear layers, matrix products and attention. Not counted: "
    "biases, normalisation, activations, pooling, additions and other element-wise work. Bytes are the "
    "layers' outputs for one example in float32."
)
NOT_RUN = "(not run)"


@dataclass(frozen=True)
class Row:
    """One call of one layer, in the order in which the calls end.

    ``name`` is the module path, "(model)" for the network itself; ``output_shape`` has no batch dimension and
    is ``None`` for a layer that did not run. ``params`` counts weights and biases, frozen ones too; a layer
    that is called again has 0 there.
    """

    name: str
    type: str
    output_shape: tuple[int, ...] | None
    params: int
    macs: int
    bytes: int


COLUMNS = tuple(Row.__dataclass_fields__)


@dataclass(frozen=True)
class Account:
    """The rows of a network and their totals: prints as text, shows as HTML, ``to_frame()`` for pandas."""

    model: str
    input_sizes: tuple[tuple[int, ...], ...]
    rows: tuple[Row, ...]

    @property
    def total_params(self) -> int:
        """Every parameter of the network, each once."""
        return sum(row.params for row in self.rows)

    @property
    def total_macs(self) -> int:
        """Multiply-adds for one example."""
        return sum(row.macs for row in self.rows)

    @property
    def total_bytes(self) -> int:
        """Bytes of all outputs together, for one example."""
        return sum(row.bytes for row in self.rows)

    def to_frame(self) -> pd.DataFrame:
        """A data frame with one row for each call and the columns of ``Row``."""
        import pandas as pd

        return pd.DataFrame(
            [{column: getattr(row, column) for column in COLUMNS} for row in self.rows], columns=COLUMNS
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        """The first row with this module path. Raises ``KeyError`` listing the paths."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(
            f"no row named {name!r}; there are {', '.join(dict.fromkeys(row.name for row in self.rows))}"
        )

    def __str__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> TextTable:
        body = [
            (
                row.name,
                row.type,
                NOT_RUN if row.output_shape is None else _by(row.output_shape),
                *(f"{number:,}" for number in (row.params, row.macs, row.bytes)),
            )
            for row in self.rows
        ]
        totals = (f"{number:,}" for number in (self.total_params, self.total_macs, self.total_bytes))
        return TextTable(
            title=f"{self.model} on an input of {' and '.join(_by(size) for size in self.input_sizes)}",
            header=("name", "type", "output", "params", "MACs", "bytes"),
            body=body,
            total=("total", "", "", *totals),
            notes=NOTES,
        )


def account(model: nn.Module, input_size: Sequence[int] | Sequence[Sequence[int]]) -> Account:
    """Parameters, multiply-adds and activation bytes of every layer that runs, for one example.

    ``input_size`` is ``(C, H, W)`` or any other shape without the batch dimension; for a model with several
    inputs, a tuple of shapes. A row is a module without children, or a module that computes or owns
    parameters itself: then the row holds its own share, such as the products inside an attention module, and
    its output counts as bytes only if it is not a child's. A shared module has a row for each call and its
    parameters in the first. Parameters of modules that do not run (auxiliary heads in evaluation mode) come
    last, as rows without an output.

    The network runs on torch's meta device, where tensors have shapes and no values; if it cannot (it mixes
    in tensors that are neither parameters nor buffers, or looks at values), it runs on zeros where its
    weights are. Training flags, buffers, hooks and the random state are as before afterwards.

    Raises ``ValueError`` for an impossible ``input_size``, for lazy modules that have no shape yet, and if
    the network fails on such an input, with the layer at which it failed and what that layer received.
    """
    sizes = _checked_sizes(input_size)
    model = getattr(model, "_orig_mod", model)  # what was given to torch.compile, which hides the layers
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(f"{name} has no shape yet: run the lazy modules once before accounting")
    device = next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    with _evaluation(model, device):
        try:
            trace = _run(model, sizes, torch.device("meta"))
        except ValueError:
            trace = None  # perhaps for want of values: the run on real tensors decides
        if trace is None:
            trace = _run(model, sizes, device)
    return Account(type(model).__name__, sizes, tuple(_rows(model, trace)))


@dataclass
class _Call:
    """One call of a module, with what is needed to tell its own share from that of the calls it made."""

    module: nn.Module
    inputs: tuple[Any, ...]
    flops_before: int
    flops_of_children: int = 0
    outputs_of_children: list[Tensor] = field(default_factory=list)
    made_calls: bool = False
    macs: int = 0
    output_shape: tuple[int, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class _Trace:
    """The calls in the order in which they ended, and in which module each parameter was first used."""

    calls: list[_Call]
    used_in: dict[str, nn.Module]


class _ParameterWatcher(TorchDispatchMode):
    """Notes in which module each parameter is first used: some compute with the parameters of others."""

    def __init__(self, parameters: dict[str, Tensor], stack: list[_Call]):
        super().__init__()
        self.names = {id(parameter): name for name, parameter in parameters.items()}
        self.stack = stack
        self.used_in: dict[str, nn.Module] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for value in tree_leaves((args, kwargs)):
            name = self.names.get(id(value))
            if name is not None and self.stack:
                self.used_in.setdefault(name, self.stack[-1].module)
        return func(*args, **(kwargs or {}))


def _run(model: nn.Module, sizes: tuple[tuple[int, ...], ...], device: torch.device) -> _Trace:
    """Run the model once on ``device`` and trace its calls; its buffers are copies, to be written into."""
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    if device.type == "meta":
        parameters = {name: torch.empty_like(value, device="meta") for name, value in parameters.items()}
        buffers = {name: torch.empty_like(value, device="meta") for name, value in buffers.items()}
    else:
        buffers = {name: value.clone() for name, value in buffers.items()}
    dtype = next((value.dtype for value in parameters.values() if value.is_floating_point()), torch.float32)
    inputs = tuple(torch.zeros((1, *size), dtype=dtype, device=device) for size in sizes)

    stack: list[_Call] = []
    calls: list[_Call] = []
    counter, watcher = FlopCounterMode(display=False), _ParameterWatcher(parameters, stack)

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        stack.append(_Call(module, args, counter.get_total_flops()))

    def leave(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        while stack[-1].module is not module:  # a call that ended in an exception which the model caught
            stack.pop()
        call = stack.pop()
        flops, tensors = counter.get_total_flops() - call.flops_before, _tensors(output)
        call.macs = (flops - call.flops_of_children) // 2
        if hasattr(module, "count_macs"):
            call.macs = module.count_macs(args[0], output)
        call.output_shape = _without_batch(tensors[0].shape) if tensors else ()
        new = [tensor for tensor in tensors if not any(tensor is other for other in call.outputs_of_children)]
        call.bytes = BYTES_PER_VALUE * sum(tensor.numel() for tensor in new)
        call.inputs, call.outputs_of_children = (), []  # do not keep every tensor until the end
        calls.append(call)
        if stack:
            stack[-1].made_calls = True
            stack[-1].flops_of_children += flops
            stack[-1].outputs_of_children += tensors

    handles = [module.register_forward_pre_hook(enter) for module in model.modules()]
    handles += [module.register_forward_hook(leave) for module in model.modules()]
    try:
        with counter, watcher:
            torch.func.functional_call(model, parameters | buffers, inputs, tie_weights=False)
    except Exception as error:
        raise ValueError(_failure(model, stack, sizes, error)) from error
    finally:
        for handle in handles:
            handle.remove()
    return _Trace(calls, watcher.used_in)


def _rows(model: nn.Module, trace: _Trace) -> Iterator[Row]:
    """The rows of what ran, then of the parameters that nothing used."""
    names = {module: name or "(model)" for name, module in model.named_modules()}
    ran = {call.module for call in trace.calls}
    unused: dict[nn.Module, int] = {}
    params: dict[nn.Module, int] = {}
    owners = {id(value): owner for owner in reversed(names) for value in owner.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        owner = owners[id(parameter)]
        holder = owner if owner in ran else trace.used_in.get(name)
        place = unused if holder is None else params
        place[holder or owner] = place.get(holder or owner, 0) + parameter.numel()
    for call in trace.calls:
        own_params = params.pop(call.module, 0)  # a second call finds none left
        if own_params or call.macs or not (call.made_calls or _does_nothing(call.module)):
            kind = type(call.module).__name__
            yield Row(names[call.module], kind, call.output_shape, own_params, call.macs, call.bytes)
    for module, number in unused.items():
        yield Row(names[module], type(module).__name__, None, number, 0, 0)


@contextmanager
def _evaluation(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Evaluation mode without gradients, the random state and every training flag put back at the end.

    The fused attention of ``nn.MultiheadAttention`` is off: the counter has no formula for it.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            evaluation_mode(model),
            torch.no_grad(),
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _failure(model: nn.Module, stack: list[_Call], sizes: Sequence[Sequence[int]], error: Exception) -> str:
    """What to tell of an exception: the innermost call that was running, and what it received."""
    text = f"{type(model).__name__} failed on an input of {' and '.join(_by(size) for size in sizes)}"
    if stack and stack[-1].module is not model:
        call = stack[-1]
        name = next(name for name, module in model.named_modules() if module is call.module)
        received = ", ".join(str(list(tensor.shape)) for tensor in _tensors(call.inputs))
        text += f" at {name} ({type(call.module).__name__}), which received {received}"
    reason = str(error).strip().split("\n")[0]
    return f"{text}: {reason or type(error).__name__}"


def _checked_sizes(input_size: Any) -> tuple[tuple[int, ...], ...]:
    """One shape or several, as a tuple of shapes."""
    parts = tuple(input_size) if isinstance(input_size, list | tuple) else ()
    if parts and all(isinstance(part, list | tuple) for part in parts):
        return tuple(size for part in parts for size in _checked_sizes(part))
    if not parts or any(not isinstance(side, int) or side < 1 for side in parts):
        raise ValueError(f"input_size must be a shape without the batch, as (3, 32, 32), got {input_size!r}")
    return (parts,)


def _does_nothing(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or (isinstance(module, nn.Sequential) and len(module) == 0)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _without_batch(shape: torch.Size) -> tuple[int, ...]:
    """The shape without the batch dimension; windows that attention stacks there are not a batch and stay."""
    return tuple(shape[1:] if shape[:1] == (1,) else shape)


def _by(size: Sequence[int]) -> str:
    return "×".join(str(side) for side in size) or "scalar"
