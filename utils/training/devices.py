"""The device on which a lab or an experiment runs unless somebody names one: chosen here and nowhere else.

A CUDA GPU comes first, then Apple's GPU (``mps``), if it can do all that the labs ask of a device, then the
CPU. What they ask is a table of small computations, each tried once and compared with the CPU. Up to now no
torch computes in float64 on Apple's GPU, and the labs add up losses in it: there the CPU is chosen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.training.processor import processor_name

APPLE = "mps"
TOLERANCE = 1e-3


def _pictures(device: torch.device) -> Tensor:
    """Two pictures of three channels, 9×7, of which a gradient can be asked."""
    values = torch.linspace(-1, 1, 2 * 3 * 9 * 7).reshape(2, 3, 9, 7).sin()
    return values.to(device).requires_grad_()


def _kernel(device: torch.device, *shape: int) -> Tensor:
    return torch.linspace(-1, 1, torch.Size(shape).numel()).cos().reshape(shape).to(device)


def _convolved(x: Tensor) -> Tensor:
    grouped = F.conv2d(x, _kernel(x.device, 6, 1, 3, 3), padding=2, dilation=2, groups=3)
    return F.conv_transpose2d(grouped, _kernel(x.device, 6, 2, 3, 3), stride=2, padding=1)


def _unpooled(x: Tensor) -> Tensor:
    pooled, where = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(pooled, where, [2, 2], output_size=x.shape[-2:])


def _turned(x: Tensor) -> Tensor:
    angles = torch.tensor([[[0.8, -0.6, 0.1], [0.6, 0.8, 0.0]]], device=x.device).expand(len(x), 2, 3)
    grid = F.affine_grid(angles, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="zeros")


def _attended(x: Tensor) -> Tensor:
    tokens = x.flatten(2)  # [2, 3, 63]
    return F.layer_norm(F.scaled_dot_product_attention(tokens, tokens, tokens), tokens.shape[-1:])


def _second_gradient(x: Tensor) -> Tensor:
    loss = F.cross_entropy(F.gelu(x.flatten(1)), torch.tensor([1, 2], device=x.device))
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    return gradient.square().sum()


# name → what is computed from pictures; its gradient with respect to them is compared, too
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "float64": lambda x: x.double().square().sum(),
    "convolutions": _convolved,
    "columns of patches": lambda x: F.unfold(x, 3, padding=1),
    "maximum pooling and its reverse": _unpooled,
    "average pooling to any size": lambda x: F.adaptive_avg_pool2d(x, (4, 2)),
    "batch normalization": lambda x: F.batch_norm(x, None, None, training=True),
    "group normalization": lambda x: F.group_norm(x, 3),
    "local response normalization": lambda x: F.local_response_norm(x, 3),
    "linear interpolation": lambda x: F.interpolate(x, (12, 5), mode="bilinear", align_corners=False),
    "rotation": _turned,
    "attention": _attended,
    "gradients of gradients": _second_gradient,
    "singular values": lambda x: torch.linalg.svdvals(x[0, 0]),
    "linear equations": lambda x: torch.linalg.solve(
        torch.eye(7, device=x.device) * 9 + x[0, 0, :7], x[0, 1, :7]
    ),
    "distances": lambda x: torch.cdist(x.flatten(1), x.flatten(1) + 1),
    "sorting": lambda x: x.flatten(1).sort(dim=1).values.cumsum(dim=1),
    "quantiles": lambda x: torch.quantile(x.flatten(1), 0.3, dim=1),
    "label smoothing": lambda x: F.cross_entropy(
        x.flatten(1)[:, :10], torch.tensor([1, 2], device=x.device), label_smoothing=0.1
    ),
    "norms of many tensors": lambda x: torch.stack(torch._foreach_norm([x[0], x[1]])),
}


def best_device() -> torch.device:
    """A CUDA GPU, else Apple's GPU if it can do all that the labs ask of it, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available() and not lacking(APPLE):
        return torch.device(APPLE)
    return torch.device("cpu")


@functools.cache
def lacking(device: str) -> tuple[str, ...]:
    """The names of those ``OPERATIONS`` that this device cannot do, or does wrongly."""
    return tuple(name for name in OPERATIONS if not can(name, device))


def can(name: str, device: str) -> bool:
    """Whether the operation runs on the device, forwards and backwards, and gives what the CPU gives."""
    try:
        found, expected = (_result(name, torch.device(each)) for each in (device, "cpu"))
    except (RuntimeError, TypeError, AssertionError):  # NotImplementedError is one of the first
        return False
    return all(
        torch.allclose(*pair, atol=TOLERANCE, rtol=TOLERANCE) for pair in zip(found, expected, strict=True)
    )


def _result(name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """The operation's output and the gradient of its sum, on the CPU in float32."""
    x = _pictures(device)
    output = OPERATIONS[name](x)
    (gradient,) = torch.autograd.grad((output * _kernel(device, *output.shape)).sum(), x)
    return output.detach().cpu().float(), gradient.cpu().float()


def device_name(device: torch.device | str) -> str:
    """The name of the GPU, or of the processor, which for Apple's GPU is the same chip."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"GPU of {processor_name()}" if device.type == APPLE else processor_name()
