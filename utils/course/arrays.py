"""Tensors, arrays and nested lists as numpy arrays, without importing torch."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_array(values: Any) -> np.ndarray:
    """``values`` (a torch tensor on any device, a numpy array or nested lists) as a numpy array.

    A tensor is detached and copied to the CPU, a sparse one made dense; bfloat16, which numpy does not know,
    becomes float32.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "sparse" in str(values.layout):
            values = values.to_dense()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        values = values.numpy()
    return np.asarray(values)
