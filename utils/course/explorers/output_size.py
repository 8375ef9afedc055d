"""The output-size calculator: the formula with the reader's numbers, and the windows drawn along the line."""

from __future__ import annotations

from utils.course.explorers.base import Explorer

# name -> mode, and the numbers of the layer: n input length, k kernel, p padding, s stride, d dilation, op
# output padding
PRESETS: dict[str, dict] = {
    "LeNet-5, C1: 32, 5/1": {"mode": "conv", "n": 32, "k": 5, "p": 0, "s": 1, "d": 1},
    "LeNet-5, S2: 28, 2/2": {"mode": "conv", "n": 28, "k": 2, "p": 0, "s": 2, "d": 1},
    "AlexNet as printed: 224, 11/4": {"mode": "conv", "n": 224, "k": 11, "p": 0, "s": 4, "d": 1},
    "AlexNet with 227": {"mode": "conv", "n": 227, "k": 11, "p": 0, "s": 4, "d": 1},
    "AlexNet, 224 with padding 2": {"mode": "conv", "n": 224, "k": 11, "p": 2, "s": 4, "d": 1},
    "ResNet pool 112 → 56": {"mode": "conv", "n": 112, "k": 3, "p": 1, "s": 2, "d": 1},
    "The same pool without padding": {"mode": "conv", "n": 112, "k": 3, "p": 0, "s": 2, "d": 1},
    "3×3 same": {"mode": "conv", "n": 32, "k": 3, "p": 1, "s": 1, "d": 1},
    "Dilated 3×3 (à trous)": {"mode": "conv", "n": 16, "k": 3, "p": 2, "s": 1, "d": 2},
    "Transposed 16 → 32: 4/2, padding 1": {
        "mode": "transposed",
        "n": 16,
        "k": 4,
        "p": 1,
        "s": 2,
        "d": 1,
        "op": 0,
    },
    "Transposed 16 → 31: 3/2, padding 1": {
        "mode": "transposed",
        "n": 16,
        "k": 3,
        "p": 1,
        "s": 2,
        "d": 1,
        "op": 0,
    },
    "The same with output padding 1": {
        "mode": "transposed",
        "n": 16,
        "k": 3,
        "p": 1,
        "s": 2,
        "d": 1,
        "op": 1,
    },
}


def output_size_calculator(
    preset: str = "AlexNet as printed: 224, 11/4", title: str = "How long is the output?"
) -> Explorer:
    """How long the output of a convolution, a pooling or a transposed convolution is, and why.

    preset: the layer shown first, a key of ``PRESETS``; the reader can choose any other or type numbers.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    data = {"preset": preset, "presets": [{"name": name, **numbers} for name, numbers in PRESETS.items()]}
    summary = (
        "output = ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1, "
        "with the windows and the pixels they miss drawn along the line."
    )
    return Explorer("output_size_calculator", title, data, summary)
