"""Every network of the course by name: families register their factories here, ``build_model`` calls them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

from torch import nn

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])
_factories: dict[str, Callable[..., nn.Module]] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Decorator: make a factory available to ``build_model`` as ``name``.

    A name is lower case, words joined by hyphens. A factory is ``factory(num_classes=<the paper's>,
    in_channels=<the paper's>, *, option=default, ...) -> nn.Module``. Raises ``ValueError`` if the name is
    spelled otherwise or taken.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"a model name is lower case words joined by hyphens, got {name!r}")

    def add(factory: Factory) -> Factory:
        if name in _factories:
            raise ValueError(f"a model named {name!r} is registered already")
        _factories[name] = factory
        return factory

    return add


def list_models() -> list[str]:
    """All names that ``build_model`` knows, in alphabetical order."""
    return sorted(_factories)


def build_model(
    name: str, num_classes: int | None = None, in_channels: int | None = None, **options: Any
) -> nn.Module:
    """Build the network registered as ``name``; ``None`` means what the paper has.

    ``options`` are the keyword arguments of the family's factory, such as ``input_size=32``. Raises
    ``ValueError`` for an unknown name or option, listing the choices, and for a ``num_classes`` or
    ``in_channels`` below 1.
    """
    if name not in _factories:
        hint = _suggestion(name, list_models())
        raise ValueError(f"unknown model {name!r}{hint}; choose from {', '.join(list_models())}")
    factory = _factories[name]
    known = [
        key for key in inspect.signature(factory).parameters if key not in ("num_classes", "in_channels")
    ]
    for option in options:
        if option not in known:
            hint = _suggestion(option, known)
            raise ValueError(f"{name} has no option {option!r}{hint}; options: {', '.join(known) or 'none'}")
    for key, value in {"num_classes": num_classes, "in_channels": in_channels}.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{key} must be a positive whole number, got {value!r}")
        options[key] = value
    return factory(**options)


def _suggestion(word: str, choices: list[str]) -> str:
    close = get_close_matches(str(word).lower(), choices, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
