"""What a value is by content: a fingerprint that the same value made anew has too, also in another process.

- Numbers, texts, containers, tensors and arrays: their values.
- Functions: their code, defaults, captured values, attributes, and the global values that they read.
- Objects: their class and their state, as for pickling.
- Functions and classes of the standard library, of installed packages and of this package: their names. A
  change of their code is a change of version, which a record tells.

Refused is what has no content that could be compared: locks, files, generators of random numbers and so
on. Compiled code differs between versions of Python, so the fingerprint of a function does too.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import functools
import hashlib
import random
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, EnumMeta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# types whose ``repr`` is all of the value
PLAIN = (
    types.NoneType, types.EllipsisType, types.NotImplementedType, bool, int, float, complex, str, bytes,
    range, torch.dtype, torch.device, torch.layout, torch.memory_format,
)  # fmt: skip
RANDOM = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator, torch.Generator)
LRU_CACHED = type(functools.lru_cache(print))
# members of a class that say nothing of what it does, or nothing beyond what its other members say
BESIDE = ("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "_abc_impl")
PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = (PACKAGE, *(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")))


class Incomparable(ValueError):
    """A value has no content to compare; the message says where it was met and of which type it is."""


def fingerprint(value: Any, known: Mapping[int, str] | None = None) -> str:
    """A digest of the content of ``value``, 32 hexadecimal digits.

    ``known`` gives names, by ``id``, to objects that are met inside and are not to be looked into. Raises
    :class:`Incomparable`.
    """
    return _Reader(known or {}).read(value).hex()[:32]


class _Reader:
    """Walks through a value; ``open`` are the objects that are being read, ``trail`` their names."""

    def __init__(self, known: Mapping[int, str]) -> None:
        self.known = known
        self.open: list[int] = []
        self.trail: list[str] = []

    def read(self, value: Any, name: str = "") -> bytes:
        if id(value) in self.known:
            return _digest("known", self.known[id(value)])
        if type(value) in PLAIN:
            return _digest(type(value).__name__, repr(value))
        if id(value) in self.open:  # a circle, such as a function that calls itself
            return _digest("again", str(self.open.index(id(value))))
        self.open.append(id(value))
        self.trail.append(name or getattr(value, "__qualname__", "") or type(value).__qualname__)
        try:
            return self._compound(value)
        finally:
            self.open.pop()
            self.trail.pop()

    def _compound(self, value: Any) -> bytes:
        plain = _before_compilation(value)
        if plain is not None:
            return self._parts("compiled", plain)
        for kinds, read in self._readers():
            if isinstance(value, kinds):
                return read(value)
        if type(value) in (list, tuple):
            return _digest(type(value).__name__, *map(self.read, value))
        if type(value) in (set, frozenset):  # in no order that another process would have too
            return _digest("set", *sorted(map(self.read, value)))
        if type(value) in (dict, types.MappingProxyType):
            return self._items(value.items())
        return self._object(value)

    def _readers(self) -> tuple[tuple[Any, Callable[[Any], bytes]], ...]:
        return (
            (RANDOM, self._refuse),
            (Tensor, self._tensor),
            ((np.ndarray, np.generic), self._array),
            (types.CodeType, self._code),
            (types.FunctionType, self._function),
            (types.MethodType, lambda method: self._parts("method", method.__func__, method.__self__)),
            (types.BuiltinFunctionType, self._builtin),
            (type, self._class),
            (types.ModuleType, self._module),
            (Enum, lambda member: self._parts("enum", type(member), member.name)),
            (LRU_CACHED, lambda cached: self._parts("cached", cached.__wrapped__)),
            (functools.partial, lambda p: self._parts("partial", p.func, p.args, p.keywords, vars(p))),
            ((staticmethod, classmethod), lambda m: self._parts(type(m).__name__, m.__func__)),
            (property, lambda p: self._parts("property", p.fget, p.fset, p.fdel)),
            ((types.MemberDescriptorType, types.GetSetDescriptorType), lambda d: _digest("slot", d.__name__)),
        )

    def _parts(self, kind: str, *values: Any) -> bytes:
        return _digest(kind, *map(self.read, values))

    def _items(self, items: Iterable[tuple[Any, Any]]) -> bytes:
        """Keys and values, in an order that does not depend on how the mapping was filled."""
        pairs = [(self.read(key), self.read(value, str(key))) for key, value in items]
        return _digest("dict", *(part for pair in sorted(pairs) for part in pair))

    def _tensor(self, tensor: Tensor) -> bytes:
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
            self._refuse(tensor)
        dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        content = dense.reshape(-1).view(torch.uint8).numpy()
        return _digest("tensor", str(tensor.dtype), str(tuple(tensor.shape)), content)

    def _array(self, array: np.ndarray | np.generic) -> bytes:
        if array.dtype.hasobject:
            return self._parts("array", array.tolist())
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return _digest("array", str(array.dtype), str(array.shape), content)

    def _code(self, code: types.CodeType) -> bytes:
        """What the code does, without where it stands: neither file nor lines nor its name."""
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        exceptions = getattr(code, "co_exceptiontable", b"")
        return self._parts("code", code.co_code, code.co_consts, names, counts, exceptions)

    def _function(self, function: types.FunctionType) -> bytes:
        if _is_known_by_name(function):
            return _digest("name", function.__module__, function.__qualname__)
        free, cells = function.__code__.co_freevars, function.__closure__ or ()
        captured = {name: _content_of(cell) for name, cell in zip(free, cells, strict=True)}
        named = self._globals(function)
        within = _values_in_modules({**captured, **named}, _names(function.__code__))
        return self._parts(
            "function", function.__code__, function.__defaults__, function.__kwdefaults__, captured,
            vars(function), {**named, **within},
        )  # fmt: skip

    def _globals(self, function: types.FunctionType) -> dict[str, Any]:
        """The global values that a function reads; those of a package are known by the package's name."""
        if _is_installed(str(function.__globals__.get("__name__"))):
            return {}
        found = function.__globals__
        return {name: found[name] for name in _global_names(function.__code__) if name in found}

    def _builtin(self, function: types.BuiltinFunctionType) -> bytes:
        owner = function.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return _digest("name", function.__module__ or "", function.__qualname__)
        return _digest("builtin", function.__qualname__, self.read(owner))

    def _class(self, cls: type) -> bytes:
        if _is_known_by_name(cls):
            return _digest("name", cls.__module__, cls.__qualname__)
        if isinstance(cls, EnumMeta):
            members: dict[str, Any] = {name: cls[name].value for name in cls.__members__}
            return self._parts("enumeration", cls.__qualname__, members)
        own = {name: member for name, member in vars(cls).items() if _says_what_it_does(name, member)}
        return self._parts("class", cls.__qualname__, type(cls), cls.__bases__, own)

    def _module(self, module: types.ModuleType) -> bytes:
        """A module is known by its name, and one that is not installed by its file as well."""
        file = None if _is_installed(module.__name__) else getattr(module, "__file__", None)
        return _digest("module", module.__name__, Path(file).read_bytes() if file else "")

    def _object(self, value: Any) -> bytes:
        """Class and state, as pickling would keep them."""
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            reduced = reduce(value) if reduce else value.__reduce_ex__(2)
        except Exception as error:  # each type says in its own way that it has no state to keep
            raise self._incomparable(value) from error
        if isinstance(reduced, str):  # known by its name in a module
            if not _is_installed(type(value).__module__):
                self._refuse(value)
            return _digest("name", type(value).__module__, reduced)
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        listed = [list(part) if part is not None else None for part in (items, pairs)]
        return self._parts("object", type(value), make, arguments, state, *listed)

    def _refuse(self, value: Any) -> bytes:
        raise self._incomparable(value)

    def _incomparable(self, value: Any) -> Incomparable:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        way = [name for name in self.trail[:-1] if name not in ("dict", "list", "tuple")] + self.trail[-1:]
        return Incomparable(f"{' → '.join(way)} is a {kind}, which has no content to compare")


def _digest(kind: str, *parts: Any) -> bytes:
    """Of the parts one after the other, each with its length, so that no other parts give the same."""
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        content = memoryview(part.encode() if isinstance(part, str) else part)
        digest.update(b"|%d|" % content.nbytes)
        digest.update(content)
    return digest.digest()


def _is_known_by_name(value: Any) -> bool:
    """Whether a function or class is what its name leads to in an installed package or in this one."""
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or not _is_installed(module):
        return False
    found = sys.modules.get(module)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


@functools.cache
def _is_installed(module: str) -> bool:
    """Whether a module belongs to the standard library, to an installed package or to this one."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    # what is written in C may have no file of its own
    files = [getattr(sys.modules.get(name), "__file__", None) for name in (module, top)]
    file = files[0] or files[1]
    return file is not None and any(Path(file).resolve().is_relative_to(root) for root in INSTALLED)


def _global_names(code: types.CodeType) -> set[str]:
    """What a piece of code, and those within it, read that is neither local nor captured nor built in."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME")
    names = {step.argval for step in dis.get_instructions(code) if step.opname in loads}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _names(code: types.CodeType) -> set[str]:
    """The names in a piece of code, and in those within it: of global values and of attributes."""
    within = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return {*code.co_names, *(name for part in within for name in _names(part))}


def _values_in_modules(named: Mapping[str, Any], names: set[str], depth: int = 3) -> dict[str, Any]:
    """What code that has these names may read of modules that are not installed: it may have been changed."""
    found = {
        f"{module}.{name}": vars(value)[name]
        for module, value in named.items()
        if isinstance(value, types.ModuleType) and not _is_installed(value.__name__)
        for name in names & vars(value).keys()
    }
    return {**found, **_values_in_modules(found, names, depth - 1)} if found and depth else found


def _before_compilation(value: Any) -> Any:
    """The function or module that torch.compile has made this one of; None for any other value."""
    if isinstance(value, types.FunctionType):
        return vars(value).get("_torchdynamo_orig_callable")
    return getattr(value, "_orig_mod", None) if isinstance(value, torch.nn.Module) else None


def _content_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return builtins.NotImplemented


def _says_what_it_does(name: str, member: Any) -> bool:
    """Whether a member of a class belongs to its content; of ``__names__`` only functions do."""
    special = name.startswith("__") and name.endswith("__")
    kinds = (types.FunctionType, staticmethod, classmethod, property)
    return name not in BESIDE and (not special or isinstance(member, kinds))
