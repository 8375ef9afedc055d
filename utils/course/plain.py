"""Plain values as JSON and back: numbers, texts, lists, tuples, dicts, and small arrays and tensors.

What JSON cannot say stands in an object with one name that begins with ``$``: ``{"$float": "nan"}``,
``{"$tuple": […]}``, ``{"$dict": [[key, value], …]}`` for keys that are no texts, ``{"$array": "float32",
"shape": …, "values": …}`` and ``$tensor`` likewise. ``$order`` keeps the order of a dict, since the names in
a record stand in alphabetical order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

DIGITS = 6  # significant digits of a measured number: float32 has seven, and no figure shows more
DEEPEST = 20  # levels of lists and dicts
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
DTYPES = {
    "$array": {"bool", *INTEGERS, "uint16", "uint32", "uint64", "float16", "float32", "float64"},
    "$tensor": {"bool", *INTEGERS, "float16", "bfloat16", "float32", "float64"},
}
ALLOWED = "numbers, texts, true and false, None, and lists, tuples, dicts, arrays and tensors of them"


def as_json(value: Any, what: str = "the value", digits: int | None = DIGITS) -> Any:
    """The value as JSON; ``ValueError`` that says where in ``what`` something else than plain values is.

    Floats are rounded to so many significant ``digits``, or kept to the last bit with None. Numbers of numpy
    become Python's.
    """
    return _as_json(value, what, digits, 0)


def from_json(value: Any) -> Any:
    """The value that :func:`as_json` was given, rounded; ``ValueError`` if it is not of its making."""
    if isinstance(value, list):
        return [from_json(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    marks = [name for name in value if name.startswith("$")]
    if not marks:
        return {key: from_json(entry) for key, entry in value.items()}
    try:
        return _READERS[marks[0]](value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{str(value)[:80]} is not a value that was written here: {error!r}") from error


def _as_json(value: Any, what: str, digits: int | None, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"{what} is nested more than {DEEPEST} levels deep")
    if isinstance(value, np.generic):
        value = value.item()
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return _number(value, digits, lambda name: {"$float": name})
    if kind in (list, tuple):
        entries = [_as_json(entry, f"{what}[{at}]", digits, depth + 1) for at, entry in enumerate(value)]
        return entries if kind is list else {"$tuple": entries}
    if kind is dict:
        return _dict(value, what, digits, depth)
    if kind is np.ndarray:
        return _grid("$array", value.dtype.name, list(value.shape), value.tolist(), what, digits)
    if isinstance(value, torch.Tensor):
        values = value.detach().cpu()
        dtype = str(value.dtype).removeprefix("torch.")
        return _grid("$tensor", dtype, list(value.shape), values.tolist(), what, digits)
    raise ValueError(f"{what} is of type {kind.__module__}.{kind.__qualname__}, but may hold only {ALLOWED}")


def _dict(value: dict, what: str, digits: int | None, depth: int) -> dict[str, Any]:
    pairs = [(key, _as_json(entry, f"{what}[{key!r}]", digits, depth + 1)) for key, entry in value.items()]
    if not all(type(key) is str and not key.startswith("$") for key in value):
        # the keys are kept to the last bit: rounded, two of them might become one
        keys = [_as_json(key, f"a key of {what}", None, depth + 1) for key in value]
        return {"$dict": [[key, entry] for key, (_, entry) in zip(keys, pairs, strict=True)]}
    order = {} if list(value) == sorted(value) else {"$order": list(value)}
    return {**order, **dict(pairs)}


def _grid(mark: str, dtype: str, shape: list[int], values: Any, what: str, digits: int | None) -> dict:
    if dtype not in DTYPES[mark]:
        kind = "an array" if mark == "$array" else "a tensor"
        raise ValueError(f"{what} is {kind} of {dtype}, but may hold only {', '.join(sorted(DTYPES[mark]))}")

    def each(entry: Any) -> Any:
        if isinstance(entry, list):
            return [each(one) for one in entry]
        return _number(entry, digits, str) if isinstance(entry, float) else entry

    return {mark: dtype, "shape": shape, "values": each(values)}


def _number(value: float, digits: int | None, otherwise: Callable[[str], Any]) -> Any:
    """A float for JSON, which has no name for nan and the infinities: they are told ``otherwise``."""
    if not math.isfinite(value):
        return otherwise(str(float(value)))
    return value if digits is None else float(f"{value:.{digits - 1}e}")


def _read_dict(value: dict) -> dict:
    return {from_json(key): from_json(entry) for key, entry in value["$dict"]}


def _read_order(value: dict) -> dict:
    if sorted(value["$order"]) != sorted(set(value) - {"$order"}):
        raise ValueError("$order names other entries than there are")
    return {key: from_json(value[key]) for key in value["$order"]}


def _read_array(value: dict) -> np.ndarray:
    if value["$array"] not in DTYPES["$array"]:
        raise ValueError(f"an array of {value['$array']}")
    return np.array(_numbers(value["values"]), dtype=value["$array"]).reshape(value["shape"])


def _read_tensor(value: dict) -> torch.Tensor:
    if value["$tensor"] not in DTYPES["$tensor"]:
        raise ValueError(f"a tensor of {value['$tensor']}")
    dtype = getattr(torch, value["$tensor"])
    return torch.tensor(_numbers(value["values"]), dtype=dtype).reshape(value["shape"])


def _numbers(values: Any) -> Any:
    if isinstance(values, list):
        return [_numbers(entry) for entry in values]
    return float(values) if isinstance(values, str) else values


_READERS: dict[str, Callable[[dict], Any]] = {
    "$float": lambda value: float(value["$float"]),
    "$tuple": lambda value: tuple(from_json(value["$tuple"])),
    "$dict": _read_dict,
    "$order": _read_order,
    "$array": _read_array,
    "$tensor": _read_tensor,
}
