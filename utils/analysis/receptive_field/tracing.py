"""Runs a network on tensors without values and follows what the units of every result see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode

from utils.analysis.modules import evaluation_mode, followable, module_paths
from utils.analysis.receptive_field.extent import measure
from utils.analysis.receptive_field.fields import Field, MisalignedPaths, input_field, same_fields
from utils.analysis.receptive_field.rules import RULES, Call, NoRule, fields_in, found_in, rule_for_module
from utils.analysis.snapshot import unchanged

# what asks a tensor for its values
MOST_CORNERS = 8  # interpolations with aligned corners that are tried together as a reason
ASKS_FOR_VALUES = {
    *("__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__", "__array__"),
    *("item", "tolist", "numpy", "nonzero", "is_nonzero", "unique", "masked_select", "equal", "allclose"),
}


@dataclass(frozen=True)
class Output:
    """The (first) result of a call: ``name`` is the module path, ``shape`` has no batch dimension."""

    name: str
    type: str
    shape: tuple[int, ...]
    field: Field


@dataclass(frozen=True)
class Trace:
    """What a run has told: ``rows`` and ``modules``.

    The rows are the layers that compute something, in the order in which they end; the modules have the first
    call of each.
    """

    rows: list[Output]
    modules: dict[str, Output]


def trace_fields(model: nn.Module, size: tuple[int, ...], ignore_gates: bool) -> Trace:
    """Run ``model`` on an input ``[1, *size]`` without values. Errors are those of ``receptive_field``."""
    model = followable(model)
    tensors = {}
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if isinstance(value, UninitializedParameter):
            raise ValueError(f"{name} has no shape yet: run the lazy modules once before")
        tensors[name] = torch.empty_like(value, device="meta")
    dtype = next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float32)
    x = torch.empty((1, *size), dtype=dtype, device="meta")
    watcher = _Watcher(model, ignore_gates)
    watcher.know(*tensors.values(), *_plain_tensors(model))
    watcher.record(x, input_field(size))
    with unchanged(model), _evaluation(model), watcher.hooks():
        try:
            with watcher, torch.compiler.set_stance("force_eager"):
                torch.func.functional_call(model, tensors, (x,), tie_weights=False)
        except MisalignedPaths as error:
            reason = watcher.aligned_corners(error.jumps) or error
            raise MisalignedPaths(f"{watcher.where()}: {reason}", error.jumps) from error
        except NoRule as error:
            raise NoRule(f"{watcher.where()}: {error}") from error
        except CannotFollow:
            raise
        except Exception as error:
            if "TorchScript interpreter" in str(error):
                raise CannotFollow(
                    f"{watcher.where(operation=False)}: a function under torch.jit.script or torch.jit.trace "
                    "cannot be looked into: use it as it was before torch.jit"
                ) from error
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            by = "×".join(str(side) for side in size)
            hint = ""
            if len(size) > 3 and size[0] == 1:
                hint = " (input_size has no batch dimension: leave out the 1 in front)"
            raise ValueError(
                f"{type(model).__name__} failed on an input of {by}, {watcher.where()}{watcher.received()}: "
                f"{reason}{hint}"
            ) from error
    return Trace(watcher.rows, watcher.modules)


class CannotFollow(ValueError):
    """Something in the network of which the fields cannot be known; the message says where and what to do."""


@dataclass
class _Scope:
    """A module that is running."""

    module: nn.Module
    path: str
    inputs: tuple[torch.Size, ...]
    functions: list[Output] = field(default_factory=list)
    muted: bool = False


class _Watcher(TorchFunctionMode):
    """Follows every operation on tensors, and keeps what the units of each result see."""

    def __init__(self, model: nn.Module, ignore_gates: bool):
        super().__init__()
        self.model, self.ignore_gates = model, ignore_gates
        self.paths = module_paths(model)
        # by identity; the tensors are kept, so that no other gets the same one. None: independent of the
        # input
        self.seen: dict[int, tuple[Tensor, Field | None]] = {}
        self.spoiled: dict[int, Tensor] = {}  # of which a part was overwritten
        self.makers: dict[int, _Scope] = {}  # in which module a tensor was made
        self.scopes: list[_Scope] = []
        self.rows: list[Output] = []
        self.modules: dict[str, Output] = {}
        self.operation = ""  # the function that is running
        # of the interpolations with align_corners: where, and how much more than old / new a unit moves on
        self.corners: list[tuple[str, Fraction]] = []

    # --- tensors and their fields

    def know(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            self.record(tensor, None)

    def record(self, tensor: Tensor, field: Field | None) -> None:
        self.seen[id(tensor)] = (tensor, field)
        self.spoiled.pop(id(tensor), None)
        if self.scopes:
            self.makers[id(tensor)] = self.scopes[-1]

    def field_of(self, value: Any) -> Any:
        """The field in place of a tensor that depends on the input; anything else as it is."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.seen:
            if id(value) in self.spoiled:
                raise CannotFollow(
                    f"{self.where()}: it uses a tensor after a part of it (or a view of it) was changed in "
                    "place, which is not followed; write x = x + y in place of x += y, or join parts with "
                    "torch.cat"
                )
            if value.is_meta:
                raise CannotFollow(
                    f"{self.where()}: it uses a tensor that comes from an operation which cannot be followed "
                    "(a compiled or scripted part, or C++ code); give the module that makes it a rule with "
                    "field_rule of utils.analysis.receptive_field"
                )
            return value  # a constant with values
        field = self.seen[id(value)][1]
        return value if field is None else field

    def where(self, operation: bool = True) -> str:
        scope = self.scopes[-1] if self.scopes else None
        place = (scope.path if scope else "") or type(self.model).__name__
        kind = f" ({type(scope.module).__name__})" if scope and scope.path else ""
        return f"at {place}{kind}" + (f", in {self.operation}" if self.operation and operation else "")

    def aligned_corners(self, jumps: Sequence[Fraction]) -> str | None:
        """Why paths do not meet, if they would but for interpolations with align_corners=True."""
        factors = {Fraction(1)}
        for _, factor in self.corners[:MOST_CORNERS]:
            factors |= {known * factor for known in factors}
        if (
            not self.corners
            or not jumps
            or not all(jumps)
            or any(jumps[-1] / jump not in factors | {1 / f for f in factors} for jump in jumps)
        ):
            return None
        places = ", ".join(dict.fromkeys(place for place, _ in self.corners))
        moves = " and ".join(str(jump) for jump in jumps)
        return (
            f"paths meet that move on by {moves} input pixels from one unit to the next, because an "
            f"interpolation with align_corners=True ({places}) stretches the map from corner to corner; its "
            "units lie at other places than those of the other path, whatever the input size: only "
            "align_corners=False keeps the grid"
        )

    def _note_corners(self, given: tuple[Any, Any], shape: tuple[int, ...]) -> None:
        args, kwargs = given
        x = args[0] if args else kwargs.get("input")
        aligned = kwargs.get("align_corners", args[4] if len(args) > 4 else None)
        if isinstance(x, Field) and (aligned or self.operation == "upsample_bilinear"):
            for old, new in zip(x.shape[2:], shape[2:], strict=True):
                if old > 1 and new > 1 and old != new:
                    factor = Fraction(old, new) / Fraction(old - 1, new - 1)
                    self.corners.append((self.where(operation=False).removeprefix("at "), factor))

    def received(self) -> str:
        shapes = self.scopes[-1].inputs if self.scopes else ()
        return f", which received {', '.join(str(list(shape)) for shape in shapes)}" if shapes else ""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = _operation_name(func)
        tensors = found_in(Tensor, args, kwargs)
        if any(tensor.is_meta for tensor in tensors):
            self.operation = name
            if name in ASKS_FOR_VALUES:
                raise CannotFollow(
                    f"{self.where()}: the network looks at values, so that there is no one receptive field; "
                    "make the choice before (an option of the model), or write it with torch.where"
                )
            if any(not tensor.is_meta and tensor.ndim for tensor in tensors):
                for tensor in tensors:
                    self.field_of(tensor)
                args, kwargs = _mapped(self._without_values, (args, kwargs))
        result = func(*args, **kwargs)
        outputs = found_in(Tensor, result)
        if self.scopes and any(scope.muted for scope in self.scopes):
            return result
        if not outputs and name != "__setitem__":
            self.operation = ""
            return result
        given = _mapped(self.field_of, (args, kwargs))
        fields = fields_in(given)
        if not fields or (outputs and not any(output.numel() for output in outputs)):  # no units see nothing
            self.know(*outputs)
            self.operation = ""
            return result
        rule = RULES.get(name)
        if name == "__setitem__":
            raise NoRule(
                "writing into a part of a tensor is not followed: join parts with torch.cat or F.pad"
            )
        if rule is None:
            raise NoRule(
                f"there is no rule for {name}: give it one with field_rule({name!r}) of "
                "utils.analysis.receptive_field, or to the module around it with field_rule(TheModule)"
            )
        call = Call(name, tuple(tuple(output.shape) for output in outputs), self.ignore_gates)
        new = self._apply(rule, call, outputs, *given)
        if name in ("interpolate", "upsample", "upsample_bilinear"):
            self._note_corners(given, call.shape)
        if any(output is tensor for output in outputs for tensor in tensors):
            self._spoil_views(outputs[0], new[0])
        for output, result_field in zip(outputs, new, strict=True):
            self.record(output, result_field if output.numel() else None)
        if new[0] is not None and outputs[0].numel():
            self._note_function(name, Output("", name, tuple(outputs[0].shape[1:]), new[0]), fields)
        self.operation = ""
        return result

    def _without_values(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.is_meta or value.ndim == 0:
            return value
        twin = torch.empty_like(value, device="meta")
        self.know(twin)
        return twin

    def _apply(
        self, rule: Any, call: Call, outputs: Sequence[Tensor], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> list[Field | None]:
        if "input" in kwargs and not args:  # torch's name of the first argument, whatever the rule calls it
            kwargs = dict(kwargs)
            args = (kwargs.pop("input"),)
        try:
            result = rule(call, *args, **kwargs)
        except TypeError as error:
            raise NoRule(f"the rule of {call.name} does not fit this call: {error}") from error
        new = list(result) if isinstance(result, list | tuple) else [result]
        shapes = [output.shape for output in outputs]
        if len(new) != len(shapes) or any(
            f and f.shape != tuple(s) for f, s in zip(new, shapes, strict=True)
        ):
            got = ", ".join(str(f and f.shape) for f in new)
            raise NoRule(f"the rule of {call.name} gives {got} for results of {call.shapes}")
        return new

    def _spoil_views(self, changed: Tensor, field: Field | None) -> None:
        """After an operation in place: what shares memory with its result is out of date."""
        if same_fields(self.seen[id(changed)][1], field):
            return
        base = changed._base if changed._base is not None else changed
        for key, (tensor, _) in list(self.seen.items()):
            if tensor is not changed and (tensor is base or tensor._base is base):
                self.spoiled[key] = self.seen.pop(key)[0]

    # --- rows

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """While the network runs, note which module is running."""
        handles = []
        try:
            for module in self.model.modules():
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.operation = ""
        shapes = tuple(value.shape for value in found_in(Tensor, args))
        muted = rule_for_module(module) is not None
        self.scopes.append(_Scope(module, self.paths[module], shapes, muted=muted))

    def _leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        while self.scopes[-1].module is not module:  # a call that ended in an exception which was caught
            self.scopes.pop()
        scope = self.scopes[-1]
        outputs = found_in(Tensor, output)
        if not any(outer.muted for outer in self.scopes[:-1]) and outputs:
            if scope.muted:
                call = Call(type(module).__name__, tuple(tuple(o.shape) for o in outputs), self.ignore_gates)
                given = _mapped(self.field_of, (args, kwargs))
                new = self._apply(rule_for_module(module), call, outputs, *given)
                for tensor, result_field in zip(outputs, new, strict=True):
                    self.record(tensor, result_field)
            first = self.field_of(outputs[0])
            if isinstance(first, Field):
                name, shape = scope.path or "(model)", tuple(outputs[0].shape[1:])
                made_here = scope.muted or self.makers.get(id(outputs[0])) is scope
                self._note_module(scope, Output(name, type(module).__name__, shape, first), made_here)
        self.scopes.pop()

    def _note_module(self, scope: _Scope, output: Output, made_here: bool) -> None:
        """A row for a module that computes something; its functions then have none that says the same."""
        self.modules.setdefault(output.name, output)
        leaf = next(scope.module.children(), None) is None
        if not (leaf or made_here) or _does_nothing(scope.module):
            return
        said = [row for row in scope.functions if leaf or measure(row.field) == measure(output.field)]
        if said:
            self.rows = [row for row in self.rows if not any(row is other for other in said)]
        self.rows.append(output)

    def _note_function(self, name: str, output: Output, fields: list[Field]) -> None:
        """A row for a function that changes the field, unless it is all that its module does."""
        if not self.scopes or any(output.field is field for field in fields):
            return
        scope = self.scopes[-1]
        if next(scope.module.children(), None) is None:
            return
        if all(measure(output.field) != measure(field) for field in fields):
            path = f"{scope.path}.{name}()" if scope.path else f"{name}()"
            row = Output(path, "function", output.shape, output.field)
            scope.functions.append(row)
            self.rows.append(row)


def _operation_name(func: Any) -> str:
    """``relu`` for ``torch.relu``, ``F.relu`` and ``Tensor.relu_``; the attribute for access to one."""
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__"):
        return func.__self__.__name__
    return name if name.startswith("__") else name.rstrip("_")


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """With ``function`` of each item in lists, tuples and dictionaries."""
    if isinstance(value, list | tuple):
        items = [_mapped(function, item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: _mapped(function, item) for key, item in value.items()}
    return function(value)


def _does_nothing(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or (isinstance(module, nn.Sequential) and len(module) == 0)


def _plain_tensors(model: nn.Module) -> list[Tensor]:
    """Tensors that are neither parameters nor buffers: attributes, and items of lists and dictionaries."""
    held = [value for module in model.modules() for name, value in vars(module).items() if name[:1] != "_"]
    return found_in(Tensor, held)


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; training flags and the random state are put back at the end.

    The fused attention of ``nn.MultiheadAttention`` is off: its parts cannot be seen.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with evaluation_mode(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
