"""What each layer of a network costs: parameters, multiply-adds and activation bytes, for one example.

``account`` runs the network once, in evaluation mode and without touching its weights, and writes down what
ran. Multiply-adds are half the floating-point operations that ``torch.utils.flop_counter`` counts: one
multiplication and one addition are one multiply-add (many papers call these "FLOPs").

Counted are convolutions (also transposed or deformable; padding counts as input), linear and bilinear layers,
recurrent ones, matrix products (also with a vector) and attention, wherever they are called. Not counted,
though it takes time: biases, normalization, activations, pooling, additions of shortcuts and all other
element-wise work, as which torch also computes an einsum that sums over one term. What multiplies and has no
formula here (a kernel of somebody's own, a Fourier transform) is named as "not counted" in its row and in the
total.

A layer of which the dense operation is not the right count declares its own with a method ``count_macs(x,
output) -> int``: the multiply-adds of one call for its (first) input and its output. It replaces what the
layer itself would be counted with, not what the modules inside it are. ``utils.models.lenet`` has three: a
convolution with missing connections, trainable subsampling, RBF units.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from utils.analysis.counted_operations import Watcher, formulas
from utils.analysis.modules import evaluation_mode, followable, module_paths, plain_numbers, suggestion
from utils.analysis.snapshot import unchanged
from utils.analysis.text_table import TextTable

if TYPE_CHECKING:
    import pandas as pd

BYTES_PER_VALUE = 4  # float32, whatever the model's own type
NOTES = (
    "MACs are multiply-adds of convolutions, linear layers, matrix products and attention. Not counted: "
    "biases, normalization, activations, pooling, additions and other element-wise work. Bytes are the "
    "layers' outputs for one example in float32."
)
NOT_RUN = "(not run)"
NOT_COUNTED = "not counted"
WHOLE = "(model)"  # the name of the network itself


@dataclass(frozen=True)
class LayerCost:
    """One call of one layer, in the order in which the calls end.

    ``name`` is the module path, "(model)" for the network itself; ``output_shape`` has no batch dimension and
    is ``None`` for a layer that did not run. ``params`` counts weights and biases, frozen ones too;
    ``trainable`` those of them that are not frozen. A layer that is called again has 0 in both.
    ``not_counted`` names operations that multiply, but of which there is no count in ``macs``.
    """

    name: str
    type: str
    output_shape: tuple[int, ...] | None
    params: int
    macs: int
    bytes: int
    trainable: int = 0
    not_counted: tuple[str, ...] = ()

    @property
    def frozen(self) -> int:
        """Parameters that training does not change."""
        return self.params - self.trainable


COLUMNS = ("name", "type", "output_shape", "params", "macs", "bytes")


@dataclass(frozen=True, repr=False)
class Account:
    """The rows of a network and their totals: prints as text, shows as HTML, ``to_frame()`` for pandas.

    ``account["layer1"]`` is a row or a subtotal, ``tree(depth=2)`` a table of subtotals.
    """

    model: str
    input_sizes: tuple[tuple[int, ...], ...]
    rows: tuple[LayerCost, ...]
    containers: tuple[
        LayerCost, ...
    ] = ()  # name, type and output of all modules, parents before their children
    depth: int | None = None  # of the tree as which the account shows itself; None: all rows, without a tree

    @property
    def total_params(self) -> int:
        """Every parameter of the network, each once."""
        return sum(row.params for row in self.rows)

    @property
    def trainable_params(self) -> int:
        """The parameters that require a gradient."""
        return sum(row.trainable for row in self.rows)

    @property
    def frozen_params(self) -> int:
        """The parameters that training does not change."""
        return self.total_params - self.trainable_params

    @property
    def total_macs(self) -> int:
        """Multiply-adds for one example."""
        return sum(row.macs for row in self.rows)

    @property
    def total_bytes(self) -> int:
        """Bytes of all outputs together, for one example."""
        return sum(row.bytes for row in self.rows)

    @property
    def not_counted(self) -> tuple[str, ...]:
        """The operations that multiply, but of which there is no count, each once."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.not_counted))

    def to_frame(self) -> pd.DataFrame:
        """A data frame with one row for each call and the columns of ``LayerCost``."""
        import pandas as pd

        return pd.DataFrame(
            [{column: getattr(row, column) for column in COLUMNS} for row in self.rows], columns=COLUMNS
        )

    def subtotal(self, name: str) -> LayerCost:
        """What a module costs with all the modules in it, in all its calls; "(model)" is the network.

        The output is that of its first call. Raises ``KeyError`` with the nearest paths for an unknown one.
        """
        module = next((row for row in self.containers if row.name == name), None)
        if module is None:
            raise KeyError(
                f"no module named {name!r}; {suggestion(name, [row.name for row in self.containers])}"
            )
        inside = [row for row in self.rows if name in (WHOLE, row.name) or row.name.startswith(f"{name}.")]
        return LayerCost(
            name,
            module.type,
            module.output_shape,
            sum(row.params for row in inside),
            sum(row.macs for row in inside),
            sum(row.bytes for row in inside),
            sum(row.trainable for row in inside),
            tuple(dict.fromkeys(operation for row in inside for operation in row.not_counted)),
        )

    def tree(self, depth: int | None = None) -> TextTable:
        """A table with a line for each module down to ``depth`` steps of the path, its children indented.

        The numbers of a line are those of its module with all the modules in it.
        Raises ``ValueError`` for a depth below 1.
        """
        if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
            raise ValueError(f"depth must be a whole number of at least 1, got {depth!r}")
        body = []
        for module in self.containers:
            steps = module.name.count(".") + 1
            if module.name != WHOLE and (depth is None or steps <= depth):
                indented = "  " * (steps - 1) + module.name.rpartition(".")[2]
                body.append(_cells(self.subtotal(module.name), indented))
        own = [row for row in self.rows if row.name == WHOLE]
        body += [_cells(row, row.name) for row in own]  # what is outside of all modules
        return self._with(body)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[LayerCost]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> LayerCost:
        """The first row with this module path; the subtotal of a module that has no row of its own.

        A module that computes something itself, between its children, has a row of its own with this alone:
        then :meth:`subtotal` gives all together. Raises ``KeyError`` listing the paths.
        """
        for row in self.rows:
            if row.name == name:
                return row
        if any(row.name == name for row in self.containers):
            return self.subtotal(name)
        raise KeyError(
            f"no row named {name!r}; there are {', '.join(dict.fromkeys(row.name for row in self.rows))}"
        )

    def __str__(self) -> str:
        return self._table().text()

    def __repr__(self) -> str:
        sizes = " and ".join(_by(size) for size in self.input_sizes)
        totals = f"{short(self.total_params)} parameters, {short(self.total_macs)} multiply-adds"
        if self.not_counted:
            totals += f" and what is {NOT_COUNTED}"
        return f"<Account of {self.model} on {sizes}: {len(self.rows)} rows, {totals}>"

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> TextTable:
        if self.depth is not None:
            return self.tree(self.depth)
        return self._with([_cells(row, row.name) for row in self.rows])

    def _with(self, body: Sequence[Sequence[str]]) -> TextTable:
        """A table of these lines, with title, total and notes."""
        macs = _with_unit(self.total_macs)
        missing = ""
        if self.not_counted:
            macs += f" + {NOT_COUNTED}"
            where = (f"{', '.join(row.not_counted)} in {row.name}" for row in self.rows if row.not_counted)
            missing = f" There is no count of {'; '.join(dict.fromkeys(where))}."
        split = f"{self.trainable_params:,} parameters are trainable, {self.frozen_params:,} are frozen. "
        return TextTable(
            title=f"{self.model} on an input of {' and '.join(_by(size) for size in self.input_sizes)}",
            header=("name", "type", "output", "params", "MACs", "bytes"),
            body=body,
            total=("total", "", "", _with_unit(self.total_params), macs, _with_unit(self.total_bytes)),
            notes=split + NOTES + missing,
        )


def _cells(row: LayerCost, name: str) -> tuple[str, ...]:
    shape = NOT_RUN if row.output_shape is None else _by(row.output_shape)
    macs = f"{row.macs:,}"
    if row.not_counted:
        macs = f"{macs} + {NOT_COUNTED}" if row.macs else NOT_COUNTED
    return (name, row.type, shape, f"{row.params:,}", macs, f"{row.bytes:,}")


def short(number: int) -> str:
    """A number with three or four digits and K, M, G or T: "25.56 M"; below a thousand as it is."""
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "K")):
        if number >= 10**power * (1 if power == 3 else 0.99995):  # 999,999 rounds to the next letter
            return f"{number / 10**power:.2f} {letter}"
    return str(number)


def _with_unit(number: int) -> str:
    return f"{number:,}" if number < 1000 else f"{number:,} ({short(number)})"


def account(
    model: nn.Module,
    input_size: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    input_data: Any = None,
    dtype: torch.dtype | Sequence[torch.dtype] | None = None,
    depth: int | None = None,
) -> Account:
    """Parameters, multiply-adds and activation bytes of every layer that runs, for one example.

    ``input_size`` is ``(C, H, W)`` or any other shape without the batch dimension; for a model with several
    inputs, a tuple of shapes. ``dtype``: of the inputs, one for all or one for each, such as ``torch.long``
    for an embedding; by default that of the weights. Or ``input_data`` is what the model gets, batch
    dimension included: a tensor, a list of tensors (one argument, as detectors take it), a tuple of arguments
    or a dictionary of keyword arguments; then all figures are for all of it. With ``depth`` the account shows
    itself as a tree, so many steps of the module paths deep.

    A row is a module without children, or a module that computes or owns parameters itself: then the row
    holds its own share, such as the products inside an attention module, and its output counts as bytes only
    if it is not a child's. A shared module has a row for each call and its parameters in the first.
    Parameters of modules that do not run (auxiliary heads in evaluation mode) come
    last, as rows without an output.

    The network runs on torch's meta device, where tensors have shapes and no values; if it cannot (it mixes
    in tensors that are neither parameters nor buffers, or looks at values), it runs on zeros (or the data)
    where its weights are. The network is as before afterwards: weights, buffers, plain attributes, training
    flags and hooks; so are the random states.

    Raises ``ValueError`` for an impossible ``input_size``, for lazy modules that have no shape yet, for
    scripted networks and parallel wrappers, and if the network fails on such an input, with the layer at
    which it failed and what that layer received.
    """
    model = followable(model)
    if (input_size is None) == (input_data is None):
        raise ValueError("account takes either an input_size or input_data, not both or none of them")
    if input_data is not None and dtype is not None:
        raise ValueError(f"input_data has a dtype of its own: leave out dtype={dtype}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise ValueError(f"depth must be a whole number of at least 1, got {depth!r}")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(f"{name} has no shape yet: run the lazy modules once before accounting")
    inputs = (
        _inputs_of(model, _checked_sizes(input_size), dtype) if input_data is None else _given(input_data)
    )
    device = next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    with _evaluation(model, device):
        try:
            trace = _run(model, inputs, torch.device("meta"))
        except ValueError:
            trace = None  # perhaps for want of values: the run on real tensors decides
        if trace is None:
            trace = _run(model, inputs, device)
    rows = tuple(_rows(model, trace))
    return Account(type(model).__name__, inputs.sizes, rows, tuple(_containers(model, trace)), depth)


@dataclass(frozen=True)
class _Inputs:
    """The arguments of the network, and their shapes as one reads them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    sizes: tuple[tuple[int, ...], ...]

    def on(self, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments on a device, without values on the meta device; what is written into them is lost."""

        def moved(tensor: Tensor) -> Tensor:
            twin = tensor.detach()
            return twin.to("meta") if device.type == "meta" else twin.to(device, copy=True)

        return tree_map_only(Tensor, moved, (self.args, self.kwargs))


def _inputs_of(
    model: nn.Module, sizes: tuple[tuple[int, ...], ...], dtype: torch.dtype | Sequence[torch.dtype] | None
) -> _Inputs:
    """Zeros of these sizes."""
    floats = (value.dtype for value in model.parameters() if value.is_floating_point())
    usual = next(floats, torch.float32)
    kinds = [dtype] * len(sizes) if dtype is None or isinstance(dtype, torch.dtype) else list(dtype)
    if len(kinds) != len(sizes) or not all(kind is None or isinstance(kind, torch.dtype) for kind in kinds):
        raise ValueError(
            f"dtype must be one torch.dtype, or one for each of {len(sizes)} inputs, got {dtype!r}"
        )
    pairs = zip(sizes, kinds, strict=True)
    return _Inputs(tuple(torch.zeros((1, *size), dtype=kind or usual) for size, kind in pairs), {}, sizes)


def _given(data: Any) -> _Inputs:
    """What the user gave, as arguments."""
    if isinstance(data, Mapping):
        args, kwargs = (), dict(data)
    else:
        args, kwargs = (data if isinstance(data, tuple) else (data,)), {}
    tensors = _tensors((args, kwargs))
    if not tensors:
        raise ValueError(f"input_data must be tensors as the model gets them, got {data!r}")
    return _Inputs(args, kwargs, tuple(_without_batch(tensor.shape) for tensor in tensors))


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
    not_counted: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Trace:
    """The calls in the order in which they ended, and in which module each parameter was first used."""

    calls: list[_Call]
    used_in: dict[str, nn.Module]


def _run(model: nn.Module, inputs: _Inputs, device: torch.device) -> _Trace:
    """Run the model once on ``device`` and trace its calls; parameters and buffers are copies."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if device.type == "meta":
        tensors = {name: torch.empty_like(value, device="meta") for name, value in tensors.items()}
    else:
        tensors = {name: value.detach().clone() for name, value in tensors.items()}
    parameters = {name: tensors[name] for name, _ in model.named_parameters()}
    args, kwargs = inputs.on(device)

    stack: list[_Call] = []
    calls: list[_Call] = []
    counter = FlopCounterMode(display=False, custom_mapping=formulas())
    top = _Call(model, (), 0)  # for what happens before the first call
    watcher = Watcher(parameters, lambda: stack[-1] if stack else top)

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        stack.append(_Call(module, args, counter.get_total_flops()))

    def leave(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        while stack[-1].module is not module:  # a call that ended in an exception which the model caught
            stack.pop()
        call = stack.pop()
        flops, tensors = counter.get_total_flops() - call.flops_before, _tensors(output)
        call.macs = (flops - call.flops_of_children) // 2
        if hasattr(module, "count_macs"):
            call.macs, call.not_counted = module.count_macs(args[0], output), {}
        call.output_shape = _without_batch(tensors[0].shape) if tensors else ()
        new = [tensor for tensor in tensors if not any(tensor is other for other in call.outputs_of_children)]
        call.bytes = BYTES_PER_VALUE * sum(tensor.numel() for tensor in new)
        call.inputs, call.outputs_of_children = (), []  # do not keep every tensor until the end
        calls.append(call)
        if stack:
            stack[-1].made_calls = True
            stack[-1].flops_of_children += flops
            stack[-1].outputs_of_children += tensors

    with unchanged(model):  # before there are hooks of ours, which write to the lists above
        handles = [module.register_forward_pre_hook(enter) for module in model.modules()]
        handles += [module.register_forward_hook(leave) for module in model.modules()]
        try:
            with counter, watcher, _plain_kernels(model):
                torch.func.functional_call(model, tensors, args, kwargs, tie_weights=False)
        except Exception as error:
            raise ValueError(_failure(model, stack, inputs.sizes, error)) from error
        finally:
            for handle in handles:
                handle.remove()
    return _Trace(calls, watcher.used_in)


@contextmanager
def _plain_kernels(model: nn.Module) -> Iterator[None]:
    """Recurrent layers by matrix products, not by one kernel that hides them; no compiled code."""
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(warnings.catch_warnings())
        for message in (".*TF32 acceleration", ".*Using `torch.compile"):  # of what is done here
            warnings.filterwarnings("ignore", message)
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def _rows(model: nn.Module, trace: _Trace) -> Iterator[LayerCost]:
    """The rows of what ran, then of the parameters that nothing used."""
    names = {module: name or WHOLE for module, name in module_paths(model).items()}
    ran = {call.module for call in trace.calls}
    unused: dict[nn.Module, list[Tensor]] = {}
    owned: dict[nn.Module, list[Tensor]] = {}
    owners = {id(value): owner for owner in reversed(names) for value in owner.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        owner = owners[id(parameter)]
        holder = owner if owner in ran else trace.used_in.get(name)
        place = unused if holder is None else owned
        place.setdefault(holder or owner, []).append(parameter)
    # a module that computes something itself has a row for each of its calls
    computing = set(owned) | {call.module for call in trace.calls if call.macs or call.not_counted}
    for call in trace.calls:
        if call.module in computing or not (call.made_calls or _does_nothing(call.module)):
            own = owned.pop(call.module, [])  # a second call finds none left
            row = LayerCost(
                names[call.module],
                type(call.module).__name__,
                call.output_shape,
                sum(parameter.numel() for parameter in own),
                call.macs,
                call.bytes,
                sum(parameter.numel() for parameter in own if parameter.requires_grad),
                tuple(call.not_counted),
            )
            yield row
    for module, own in unused.items():
        params = sum(parameter.numel() for parameter in own)
        trainable = sum(parameter.numel() for parameter in own if parameter.requires_grad)
        yield LayerCost(names[module], type(module).__name__, None, params, 0, 0, trainable)


def _containers(model: nn.Module, trace: _Trace) -> Iterator[LayerCost]:
    """Name, type and output of the first call of every module, without numbers of its own."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    for call in trace.calls:
        shapes.setdefault(call.module, call.output_shape)
    for module, name in module_paths(model).items():
        if type(module).__name__ != "OptimizedModule":
            yield LayerCost(name or WHOLE, type(module).__name__, shapes.get(module), 0, 0, 0)


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
        name = module_paths(model)[call.module]
        received = ", ".join(str(list(tensor.shape)) for tensor in _tensors(call.inputs))
        text += f" at {name} ({type(call.module).__name__}), which received {received}"
    reason = str(error).strip().split("\n")[0]
    hint = ""
    if any(len(size) > 3 and size[0] == 1 for size in sizes):
        hint = " (input_size has no batch dimension: leave out the 1 in front)"
    return f"{text}: {reason or type(error).__name__}{hint}"


def _checked_sizes(input_size: Any) -> tuple[tuple[int, ...], ...]:
    """One shape or several, as a tuple of shapes."""
    if isinstance(input_size, Tensor):
        raise ValueError(
            f"input_size must be a shape without the batch, got a tensor {list(input_size.shape)}: say "
            "input_data=x, or give tuple(x.shape[1:])"
        )
    parts = plain_numbers(input_size)
    if isinstance(parts, tuple) and parts and all(isinstance(part, list | tuple) for part in parts):
        return tuple(size for part in parts for size in _checked_sizes(part))
    if not isinstance(parts, tuple) or not parts or any(type(side) is not int or side < 1 for side in parts):
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
