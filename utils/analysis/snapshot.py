"""Leaving a network as it was: what a run may change in it is written down before, and put back after.

Parameters and buffers are the easy part, because a run can be given others. But networks also keep things in
plain attributes: positions or anchors that the first call makes, counters, lists of what passed by, and the
containers that the user's own hooks write to. After a run without values these would hold tensors without
values, and the next call of the network would fail.
"""

from __future__ import annotations

import functools
import random
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# of a plain tensor whose values are kept; larger ones are data, which no forward writes to
MOST_BYTES = 2**28
# how far globals are looked for: those of forward, of a function that it calls, of one that this calls
MOST_CALLS = 3
# classes of these packages do not change by a forward pass, but for the modules and containers among them
LIBRARIES = ("torch", "numpy", "builtins", "matplotlib", "pandas", "PIL", "logging", "threading")
GLOBALS = (dict, list, set, deque, tuple, Tensor, np.ndarray, types.FunctionType, int, float, str)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put back all that a run of ``model`` may have changed, except the values of its parameters and buffers.

    That is: the attributes of its modules and of the objects that they hold, the contents of lists, sets and
    dictionaries, the values of plain tensors and arrays, what functions (hooks too) keep in closures and
    globals, and the state of the random generators of Python and NumPy.
    """
    snapshot = _Snapshot(model)
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        snapshot.put_back()


class _Snapshot:
    """What is reachable from a network, with a way to put each thing back."""

    def __init__(self, model: nn.Module):
        self.known: dict[int, Any] = {}  # by identity, and kept, so that no other gets the same one
        self.undo: list[Callable[[], None]] = []
        owned = [*model.parameters(), *model.buffers()]
        self.known.update((id(tensor), tensor) for tensor in owned)
        waiting: list[tuple[Any, int]] = [(model, 0)]  # with how many functions lie between
        while waiting:
            value, calls = waiting.pop()
            if isinstance(value, str | bytes | int | float | complex | None) or id(value) in self.known:
                continue
            self.known[id(value)] = value
            calls += isinstance(value, types.FunctionType)
            if calls <= MOST_CALLS:
                waiting += [(inside, calls) for inside in self._keep(value)]

    def put_back(self) -> None:
        for undo in self.undo:
            undo()

    def _keep(self, value: Any) -> Iterable[Any]:
        """Write down how to put a value back; the values in it, which are to be kept too."""
        if isinstance(value, Tensor):
            self._keep_tensor(value)
            return vars(value).values()
        if isinstance(value, np.ndarray):
            if value.nbytes <= MOST_BYTES and value.flags.writeable:
                self.undo.append(functools.partial(np.copyto, value, value.copy()))
            return ()
        if isinstance(value, torch.Generator):
            self.undo.append(functools.partial(value.set_state, value.get_state()))
            return ()
        inside: list[Any] = []
        if isinstance(value, dict):
            self.undo.append(functools.partial(_refill_dict, value, dict(value)))
            inside += [*value.values(), *value]
        elif isinstance(value, list | deque):
            self.undo.append(functools.partial(_refill_sequence, value, list(value)))
            inside += value
        elif isinstance(value, set):
            self.undo.append(functools.partial(_refill_set, value, set(value)))
        elif isinstance(value, tuple | frozenset):
            inside += value
        elif isinstance(value, types.FunctionType):
            inside += self._keep_function(value)
        elif isinstance(value, types.MethodType):
            inside += [value.__self__, value.__func__]
        elif isinstance(value, functools.partial):
            inside += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, types.CellType):
            inside += self._keep_cell(value)
        elif isinstance(value, type):
            inside += self._keep_class(value)
        elif hasattr(value, "cache_clear"):  # what it has computed with tensors without values must not stay
            self.undo.append(value.cache_clear)
            inside.append(getattr(value, "__wrapped__", None))
        if _is_own(type(value)):
            inside += self._keep_object(value)
        return inside

    def _keep_tensor(self, tensor: Tensor) -> None:
        if tensor.is_meta or tensor.layout != torch.strided:
            return
        if tensor.numel() * tensor.element_size() <= MOST_BYTES:
            self.undo.append(
                functools.partial(_restore_tensor, tensor, tensor.detach(), tensor.detach().clone())
            )

    def _keep_object(self, value: Any) -> list[Any]:
        attributes = getattr(value, "__dict__", None)
        inside: list[Any] = [type(value)]
        if isinstance(attributes, dict):
            self.undo.append(functools.partial(_refill_dict, attributes, dict(attributes)))
            inside += attributes.values()
        for name in _slots(type(value)):
            if hasattr(value, name):
                held = getattr(value, name)
                self.undo.append(functools.partial(_set_quietly, value, name, held))
                inside.append(held)
        return inside

    def _keep_class(self, kind: type) -> list[Any]:
        """The attributes of a class: caches that all its objects share, and what its methods reach."""
        if not _is_own(kind):
            return []
        self.undo.append(functools.partial(_reset_class, kind, dict(vars(kind))))
        held = [getattr(value, "__func__", getattr(value, "fget", value)) for value in vars(kind).values()]
        return [*held, *kind.__bases__]

    def _keep_function(self, function: types.FunctionType) -> list[Any]:
        """Closure, defaults, and of the globals those containers, caches and numbers that the code names."""
        if not _is_own(function):
            return []
        inside: list[Any] = [*(function.__closure__ or ()), function.__defaults__, function.__kwdefaults__]
        inside += [vars(function), getattr(function, "__wrapped__", None)]
        names = function.__globals__
        for name in function.__code__.co_names:
            if name not in names:
                continue
            value = names[name]
            if not (value is None or isinstance(value, GLOBALS) or hasattr(value, "cache_clear")):
                continue
            self.undo.append(functools.partial(names.__setitem__, name, value))
            inside.append(value)
        return inside

    def _keep_cell(self, cell: types.CellType) -> list[Any]:
        try:
            value = cell.cell_contents
        except ValueError:  # empty
            return []
        self.undo.append(functools.partial(setattr, cell, "cell_contents", value))
        return [value]


def _is_own(kind: Any) -> bool:
    """Whether a class or function is somebody's own, or a module of torch, rather than a library's."""
    if isinstance(kind, type) and issubclass(kind, nn.Module):
        return kind is not nn.Module
    return (getattr(kind, "__module__", None) or "builtins").split(".")[0] not in LIBRARIES


def _slots(kind: type) -> list[str]:
    found = [vars(base).get("__slots__", ()) for base in kind.__mro__]
    names = [name for slots in found for name in ([slots] if isinstance(slots, str) else slots)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _refill_dict(value: dict, before: dict) -> None:
    # compared by identity: to compare tensors would ask for their values
    if len(value) != len(before) or any(
        a is not c or b is not d for (a, b), (c, d) in zip(value.items(), before.items(), strict=True)
    ):
        value.clear()
        value.update(before)


def _refill_sequence(value: list | deque, before: list) -> None:
    if len(value) != len(before) or any(a is not b for a, b in zip(value, before, strict=True)):
        value.clear()
        value.extend(before)


def _refill_set(value: set, before: set) -> None:
    if {id(item) for item in value} != {id(item) for item in before}:
        value.clear()
        value.update(before)


def _reset_class(kind: type, before: dict[str, Any]) -> None:
    for name in set(vars(kind)) - set(before):
        delattr(kind, name)
    for name, value in before.items():
        if vars(kind).get(name) is not value:
            setattr(kind, name, value)


def _set_quietly(value: Any, name: str, before: Any) -> None:
    if getattr(value, name, None) is not before:
        object.__setattr__(value, name, before)


def _restore_tensor(tensor: Tensor, same_memory: Tensor, values: Tensor) -> None:
    with torch.no_grad():
        if tensor.device != same_memory.device or tensor.shape != same_memory.shape:
            tensor.data = same_memory
        if not torch.equal(tensor, values):
            tensor.data.copy_(values)
