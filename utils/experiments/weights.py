"""Weights of recorded runs that labs need without training: safetensors files, each with a model card.

A card is JSON: which run of which experiment the weights are from, its record, the result, and the SHA-256 of
the weights' file.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.experiments import records
from utils.experiments.configuration import PROFILES
from utils.training.files import not_written, whole

if TYPE_CHECKING:  # torch comes in where weights are written or read, not with the package
    from torch import nn

LARGEST = 4_000_000  # bytes of one file
FORMAT = 1
# what a card says of the run is as in its record
OF_THE_RUN = (
    "experiment",
    "configuration",
    "seed",
    "profile",
    "result",
    "model",
    "dataset",
    "device",
    "versions",
    "commit",
    "started",
)
FIELDS: dict[str, records.Kind] = {"format": int, "sha256": str, "bytes": int, "record": str, "epochs": int}
FIELDS |= {name: dict if name == "result" else records.FIELDS[name] for name in OF_THE_RUN}
WITHIN = {name: kinds for name, kinds in records.WITHIN.items() if name in OF_THE_RUN}
WITHIN["dataset"] = {**WITHIN["dataset"], "classes": int}


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode with the weights of a recorded run, and the card that says which."""

    model: nn.Module
    card: dict[str, Any]

    def describe(self) -> str:
        """One line: what was trained on what, and how well it does."""
        result, data = self.card["result"], self.card["dataset"]
        return (
            f"{self.card['configuration']['label']}: {self.card['model']['parameters']:,} parameters, "
            f"trained on {data['train']:,} images of {data['title']} "
            f"for {self.card['epochs']} epochs (seed {self.card['seed']}), "
            f"test accuracy {100 * result['test_accuracy']:.1f} % on {result['test_images']:,} images"
        )


def path_of(experiment: str, label: str, results: Path | None = None) -> Path:
    """Where the weights of a configuration lie; the card has the ending ``.json`` in its place."""
    return (results or records.RESULTS) / "checkpoints" / f"{experiment}-{label}.safetensors"


def keep(
    model: nn.Module, record: dict[str, Any], record_file: Path, results: Path | None = None
) -> Path | None:
    """Write weights and card of a finished run, and return the path of the weights.

    Weights of a larger profile are left alone: then nothing is written, and None returned. Raises
    ``ValueError`` for weights of more than 4 MB, which do not belong into the repository.
    """
    from safetensors.torch import save

    folder = results or records.folder_of(record["profile"])
    path = path_of(record["experiment"], record["configuration"]["label"], folder)
    card_path = path.with_suffix(".json")
    if card_path.exists() and PROFILES.index(_read_card(card_path)["profile"]) > PROFILES.index(
        record["profile"]
    ):
        return None
    require_small(model, path.name)
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    card = {
        "format": FORMAT,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "record": record_file.name,
        "epochs": len(record["history"]["train_loss"]),
        **{name: record[name] for name in OF_THE_RUN},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, "the file", error, records.GO_ON) from error
    _replace(path, content)
    _replace(card_path, (json.dumps(card, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    return path


def require_small(model: nn.Module, name: str) -> None:
    """Raise ``ValueError`` if the weights are too many to be kept; before a training, not after it."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if size > LARGEST:
        raise ValueError(
            f"the weights of {name} have {size:,} bytes, more than {LARGEST:,}: keep a smaller network"
        )


def trained(experiment: str, label: str, results: Path | None = None) -> Trained:
    """The network of that configuration with its kept weights.

    Raises ``FileNotFoundError`` with the command that trains it where there are none, and ``ValueError``
    naming the file where it is damaged or does not fit its card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from utils.models import build_model

    path = path_of(experiment, label, results)
    card_path = path.with_suffix(".json")
    if not path.exists() or not card_path.exists():
        raise FileNotFoundError(
            f"no weights of {label!r} are kept for {experiment}; train them with: "
            f"python -m utils.experiments run {experiment} --profile quick --again"
        )
    card = _read_card(card_path)
    content = _checked(path, card)
    configuration = card["configuration"]
    model = build_model(
        configuration["model"], num_classes=card["dataset"]["classes"], **configuration["model_options"]
    )
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the weights of {configuration['model']}: {error}") from error
    return Trained(model.eval(), card)


def faults(card_path: Path) -> list[str]:
    """What is wrong with a card and the weights beside it, one sentence each."""
    path = card_path.with_suffix(".safetensors")
    try:
        card = _read_card(card_path)
        _checked(path, card)
    except (ValueError, OSError) as error:
        return [str(error)]
    if path.name != (own := path_of(card["experiment"], card["configuration"]["label"]).name):
        return [f"the weights are those of {own}: a copied or renamed file is not another network"]
    name = records.name_of(card["configuration"]["label"], card["seed"], card["profile"])
    record_path = card_path.parents[1] / card["experiment"] / name
    if card["record"] != name or not record_path.exists():
        return [f"it names the record {card['record']!r}, which is not in {record_path.parent.name}/"]
    try:
        record = records.read(record_path)
    except (ValueError, OSError) as error:
        return [f"its record is damaged: {error}"]
    return [f"{name} is not what the record says" for name in OF_THE_RUN if card[name] != record[name]]


def _checked(path: Path, card: dict[str, Any]) -> bytes:
    """The bytes of the file; ``ValueError`` if they are not those that the card was written for."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ValueError(
            f"{path} does not have the SHA-256 of its card: it is damaged, or was replaced; "
            "restore it, or train it again"
        )
    return content


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = records.parsed(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a model card: {error}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{path} is not a model card: it is not a JSON object")
    found = records.misshapen(card, FIELDS, WITHIN)
    if found:
        raise ValueError(f"{path} is not a model card: {'; '.join(found)}")
    return card


def _replace(path: Path, content: bytes) -> None:
    """The file is the old one or the new one, never a part."""
    with whole(path, "the file", path.with_name(f".{path.name}.{os.getpid()}.part"), records.GO_ON) as file:
        file.write(content)
