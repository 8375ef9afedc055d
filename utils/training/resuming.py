"""Going on with a run: whose a checkpoint is, what it holds, and how its state is taken up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.training import checkpoints
from utils.training.checkpoints import CheckpointError, require_same
from utils.training.content import Incomparable, fingerprint
from utils.training.history import History
from utils.training.precision import Settings

# the arguments of ``fit`` in which a run may differ from the one that wrote the checkpoint, and why; all
# others have to be the same by content
NOT_COMPARED = {
    "model": "its outline is compared instead: the weights are those of the checkpoint",
    "epochs": "a longer run goes on from a shorter one",
    "device": "the settings have it as it was chosen, and are compared",
    "precision": "the settings have it as it was chosen, and are compared",
    "channels_last": "the settings have it as it was chosen, and are compared",
    "compile": "the settings have it as it was chosen, and are compared",
    "probes": "they look at the training and change nothing in it",
    "progress": "a bar changes nothing",
    "checkpoint": "a file may be moved",
}
LONGEST_TEXT = 120  # of an argument in a message, in characters
KINDS: dict[str, tuple[type, ...]] = {  # what a checkpoint holds
    "outline": (dict,),
    "configuration": (dict,),
    "model": (dict,),
    "optimizer": (dict,),
    "history": (dict,),
    "best_weights": (dict, type(None)),
}


def open_checkpoint(path: str | os.PathLike, stack: ExitStack) -> dict[str, Any] | None:
    """Lock the file until ``stack`` is left, see that it can be written, and read it if it is there."""
    stack.enter_context(checkpoints.locked(path))
    checkpoints.require_writable(path)
    if not Path(path).exists():
        return None
    saved = checkpoints.load_checkpoint(path)
    for name, kinds in KINDS.items():
        if name not in saved or not isinstance(saved[name], kinds):
            raise CheckpointError(
                f"{path} is not the checkpoint of a training run: {name!r} is missing or of another kind; "
                "give another path"
            )
    return saved


class RunFile:
    """The checkpoint of one run, which is known by the arguments of ``fit`` and the settings in effect."""

    def __init__(self, path: str | os.PathLike, arguments: Mapping[str, Any], settings: Settings) -> None:
        self.path, self.arguments, self.settings = path, arguments, settings
        self.model: nn.Module = arguments["model"]
        self.outline = checkpoints.outline(self.model)
        self.key = configuration_of(arguments, settings)
        self.constant = False

    def take_up(
        self, saved: Mapping[str, Any], optimizer: torch.optim.Optimizer
    ) -> tuple[History, dict[str, Tensor] | None]:
        """Put model and optimizer into the saved state of this run; history and best weights come back."""
        path, epochs = self.path, self.arguments["epochs"]
        try:
            require_same(path, saved["outline"], self.outline, "model")
            require_same(path, saved["configuration"], self.key, "configuration")
            history = History.from_dict(saved["history"])
            if len(history) > epochs:
                raise CheckpointError(
                    f"{path} already holds {len(history)} epochs, and epochs={epochs} was asked"
                )
            self.model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            return history, saved["best_weights"]
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} is not the checkpoint of this training run, or it is damaged "
                f"({type(error).__name__}: {error}); give another path"
            ) from error

    def write(
        self, optimizer: torch.optim.Optimizer, history: History, best_weights: dict[str, Tensor] | None
    ) -> None:
        """Keep the state after an epoch."""
        self._require_constant()
        contents = {
            "configuration": self.key,
            "outline": self.outline,
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history.as_dict(),
            "best_weights": best_weights,
        }
        checkpoints.save_checkpoint(self.path, contents)

    def _require_constant(self) -> None:
        """After the first epoch, refuse functions that it has changed: their state is not in the file."""
        if self.constant:
            return
        functions = {name: self.arguments[name] for name in self.key if name in self.arguments}
        functions = {name: value for name, value in functions.items() if callable(value)}
        now = configuration_of({"model": self.model, **functions}, self.settings)
        changed = [name for name in functions if now[name] != self.key[name]]
        buffers = checkpoints.unsaved(self.model).items()
        changed += [name for name, digest in buffers if digest != self.outline.get(name)]
        if changed:
            raise CheckpointError(
                f"{self.path} cannot be written: {', '.join(changed)} changed in the first epoch, and what "
                "it keeps from call to call is not in the file. "
                "Let a probe keep it, or train without a checkpoint"
            )
        self.constant = True


def configuration_of(arguments: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What has to be the same for a run to go on: the arguments by content, and the settings in effect."""
    parts = _parts_of(arguments["model"])
    compared = {name: value for name, value in arguments.items() if name not in NOT_COMPARED}
    return {**{name: _entry(name, value, parts) for name, value in compared.items()}, **asdict(settings)}


def _parts_of(model: nn.Module) -> dict[int, str]:
    """Names of what belongs to the model that is trained: it changes, and is not looked into again.

    A loss may be a method of the model, or look at its weights.
    """
    kinds = (model.named_modules, model.named_parameters, model.named_buffers)
    return {id(part): f"model {name}" for named in kinds for name, part in named(remove_duplicate=False)}


def _entry(name: str, value: Any, parts: Mapping[int, str]) -> Any:
    """One argument as the file has it: numbers and texts as they are, others by content, with a text."""
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):  # numpy's whole numbers too
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if value is None:
        return None
    try:
        return {"text": _text(value), "content": fingerprint(value, parts)}
    except Incomparable as error:
        raise CheckpointError(
            f"a run with a checkpoint goes on only with the same {name}, and this one cannot be compared: "
            f"{error}. Make it without that, or train without a checkpoint"
        ) from error


def _text(value: Any) -> str:
    """A short text for messages, in which no address stands."""
    name, text = getattr(value, "__qualname__", None), str(value)
    unreadable = len(text) > LONGEST_TEXT or "\n" in text or " at 0x" in text
    return name or (type(value).__qualname__ if unreadable else text)
