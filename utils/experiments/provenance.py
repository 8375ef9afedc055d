"""Which code ran, and on which machine: what a record says of its origin."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from utils.training.devices import best_device, device_name
from utils.training.processor import flags, processor_name

ROOT = Path(__file__).resolve().parents[2]
# at the root of an exported commit, where there is no repository to ask
COMMIT_FILE = "COMMIT"
UNKNOWN = "unknown"
# instructions that decide how fast a network is trained, as /proc/cpuinfo names them
FEATURES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "bf16", "asimd")


def commit(root: Path = ROOT) -> str:
    """The git commit of the code, with ``+`` appended where ``utils/`` differs from it.

    An exported commit has no repository; there, the file ``COMMIT`` says which one it is. Elsewhere outside a
    checkout it is ``unknown``.
    """
    if (root / COMMIT_FILE).is_file():
        return (root / COMMIT_FILE).read_text(encoding="utf-8").strip()
    try:
        head, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "utils")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no git commit recorded: {error}", file=sys.stderr)
        return UNKNOWN
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", check=True
    ).stdout.strip()


def machine(device: str | None = None) -> dict[str, Any]:
    """The machine of this process: processor and instructions, threads, torch's version, GPU if used."""
    described = {
        "processor": processor_name(),
        "features": list(features()),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    chosen = _device(device)
    return described if chosen.type == "cpu" else {**described, "gpu": device_name(chosen)}


def describe_device(device: str | None = None) -> str:
    """The device in one line: the GPU's name, or ``cpu (AMD EPYC, x86_64, 1 thread)``."""
    chosen = _device(device)
    if chosen.type != "cpu":
        return device_name(chosen)
    threads = torch.get_num_threads()
    told = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{chosen.type} ({processor_name()}, {platform.machine()}, {told})"


def _device(device: str | None) -> torch.device:
    return torch.device(device) if device else best_device()


def features() -> tuple[str, ...]:
    """Which of ``FEATURES`` the processor has; none where the system does not tell."""
    present = set(flags())
    return tuple(name for name in FEATURES if name in present)
