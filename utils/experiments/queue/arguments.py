"""What the queue can be asked on the command line."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the queue can be asked."""
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--hours",
        type=_positive,
        help="no run is started that would take longer; default: until nothing is due",
    )
    limit.add_argument("--minutes", type=_positive, help="the same in minutes, for a borrowed GPU")
    parser.add_argument(
        "--workers", type=int, help="runs at once; default: one for each core, or one on a GPU"
    )
    parser.add_argument(
        "--across", action="store_true", help="also start what will not end in time; it goes on another day"
    )
    parser.add_argument(
        "--front", action="store_true", help="at ordinary priority: for a machine that has nothing else to do"
    )
    parser.add_argument(
        "--status", action="store_true", help="tell what is done and due, and how long it takes; run nothing"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, …")


def arguments_of(options: argparse.Namespace) -> list[str]:
    """The options as they were given."""
    given = [
        f"--{name}={getattr(options, name)}"
        for name in ("hours", "minutes", "workers", "device")
        if getattr(options, name) is not None
    ]
    return given + [f"--{name}" for name in ("across", "front") if getattr(options, name)]


def seconds_of(options: argparse.Namespace) -> float | None:
    """The time that was given; None for no limit."""
    if options.minutes is not None:
        return 60 * options.minutes
    return None if options.hours is None else 3600 * options.hours


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return value
