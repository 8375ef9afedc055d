"""Plain and residual networks for 32×32 images, with every shortcut that the two papers compare.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385, section
4.2: a 3×3 convolution, then three stages of n blocks with two 3×3 convolutions each, on 32², 16² and 8²
pixels with 16, 32 and 64 channels, global average pooling and a linear layer: 6n + 2 layers with weights.
He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, arXiv 1603.05027, figure 4:
the order of convolution, batch norm and ReLU (``variant``).

=========== == =====================
name        n  parameters, shortcut A
=========== == =====================
resnet-20   3                269,722
resnet-32   5                464,154
resnet-44   7                658,586
resnet-56   9                853,018
resnet-110  18             1,727,962
=========== == =====================

``shortcut=False`` is the plain network of equal depth. It has the same layers and parameters, since
shortcut A has none, and the same is true of every ``variant``.

Deviations:

- Zero padding of shortcut A appends the new channels; the paper does not say where they go.
- The projection of shortcut B is followed by batch norm, as in the authors' code; the paper does not say so.
- In "full-preact" the shortcut takes the block's input as it is, also where the shape changes; the authors'
  code applies batch norm and ReLU to both paths there.
- ``squeeze_excitation=16`` (Hu et al., arXiv 1709.01507, table 4) rescales the channels of every branch
  before the addition, with as many hidden units as channels divided by 16.
- ``batch_norm=False`` (in neither paper) gives the convolutions biases instead.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_channels
from utils.models.options import scaled
from utils.models.registry import register
from utils.models.squeeze_excitation import SqueezeExcitation

CHANNELS = (16, 32, 64)
BLOCKS = {"resnet-20": 3, "resnet-32": 5, "resnet-44": 7, "resnet-56": 9, "resnet-110": 18}  # per stage

# Figure 4 of the second paper: what lies on the residual branch, and what after the addition
VARIANTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "original": (("conv1", "bn1", "relu1", "conv2", "bn2"), ("relu2",)),
    "bn-after-add": (("conv1", "bn1", "relu1", "conv2"), ("bn2", "relu2")),
    "relu-before-add": (("conv1", "bn1", "relu1", "conv2", "bn2", "relu2"), ()),
    "relu-only-preact": (("relu1", "conv1", "bn1", "relu2", "conv2", "bn2"), ()),
    "full-preact": (("bn1", "relu1", "conv1", "bn2", "relu2", "conv2"), ()),
}


class ZeroPadShortcut(nn.Module):
    """Shortcut A: every ``stride``-th pixel, zeros for the new channels; no parameters.

    ``[B, in, H, W]`` -> ``[B, out, ⌈H / stride⌉, ⌈W / stride⌉]``.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.new_channels, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        # a slice's gradient would lie channels first, and slow down what it meets; that of this "mean" of one
        # pixel does not
        x = F.avg_pool2d(x, 1, self.stride)
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels))

    def extra_repr(self) -> str:
        return f"new_channels={self.new_channels}, stride={self.stride}"


class Block(nn.Module):
    """Two 3×3 convolutions and, unless ``shortcut`` is False, the input added to what they give.

    ``[B, in, H, W]`` -> ``[B, out, H / stride, W / stride]``. ``branch`` and ``after`` name the layers before
    and after the addition in the order in which they run. ``activated_input``: what comes before the first
    convolution of a pre-activation block has been applied already. ``squeeze_excitation``: reduction of the
    layer that rescales the channels of the branch; 0 for none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        shortcut: str | bool,
        variant: str,
        batch_norm: bool,
        activated_input: bool,
        squeeze_excitation: int = 0,
    ):
        super().__init__()
        branch, after = VARIANTS[variant]
        if activated_input:
            branch = branch[branch.index("conv1") :]
        if not batch_norm:
            branch, after = (tuple(n for n in names if not n.startswith("bn")) for names in (branch, after))
        self.branch, self.after = branch, after
        bias = not batch_norm
        channels = in_channels
        for name in (*branch, *after):
            if name == "conv1":
                layer: nn.Module = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=bias)
                channels = out_channels
            elif name == "conv2":
                layer = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
            else:
                layer = nn.BatchNorm2d(channels) if name.startswith("bn") else nn.ReLU()
            self.add_module(name, layer)
        if squeeze_excitation:
            self.se = SqueezeExcitation(out_channels, squeeze_excitation)
            self.branch = (*self.branch, "se")
        self.shortcut = (
            _shortcut(shortcut, in_channels, out_channels, stride, batch_norm) if shortcut else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for name in self.branch:
            y = getattr(self, name)(y)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        for name in self.after:
            y = getattr(self, name)(y)
        return y


class CifarResNet(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``; any size of image, 32×32 in the paper.

    A block can be taken out of a (trained) network: ``model.stage1[2] = nn.Identity()``.
    """

    def __init__(
        self,
        blocks: int,
        num_classes: int,
        in_channels: int,
        shortcut: str | bool,
        variant: str,
        batch_norm: bool,
        width: float,
        squeeze_excitation: int = 0,
    ):
        super().__init__()
        _check_options(shortcut, variant)
        self.in_channels = in_channels
        channels = [scaled(wide, width) for wide in CHANNELS]
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=not batch_norm)
        self.bn1 = nn.BatchNorm2d(channels[0]) if batch_norm else nn.Identity()
        self.relu = nn.ReLU()
        source = channels[0]
        for stage, wide in enumerate(channels, start=1):
            layers = []
            for number in range(blocks):
                stride = 2 if stage > 1 and number == 0 else 1
                first = stage == 1 and number == 0
                layers.append(
                    Block(
                        source,
                        wide,
                        stride,
                        shortcut=shortcut,
                        variant=variant,
                        batch_norm=batch_norm,
                        activated_input=first,
                        squeeze_excitation=squeeze_excitation,
                    )
                )
                source = wide
            self.add_module(f"stage{stage}", nn.Sequential(*layers))
        # the last addition of a pre-activation network is followed by the activation of the next block
        self.last_bn = nn.BatchNorm2d(source) if variant == "full-preact" and batch_norm else nn.Identity()
        self.last_relu = nn.ReLU() if variant in ("full-preact", "relu-only-preact") else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(source, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("a residual network", x, self.in_channels)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        x = self.last_relu(self.last_bn(x))
        return self.fc(self.pool(x).flatten(1))


def _shortcut(
    kind: str | bool, in_channels: int, out_channels: int, stride: int, batch_norm: bool
) -> nn.Module:
    """The identity where the shape stays; where it changes, ``kind`` A (zero padding) or B (projection)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "A":
        return ZeroPadShortcut(in_channels, out_channels, stride)
    projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=not batch_norm)
    return nn.Sequential(projection, nn.BatchNorm2d(out_channels)) if batch_norm else projection


def _check_options(shortcut: str | bool, variant: str) -> None:
    if shortcut not in ("A", "B") and shortcut is not False:
        raise ValueError(f"shortcut must be 'A', 'B' or False (a plain network), got {shortcut!r}")
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    if shortcut is False and variant != "original":
        raise ValueError(f"a plain network has no addition to arrange: variant={variant!r} needs a shortcut")


def _register(name: str, blocks: int) -> None:
    def factory(
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        shortcut: str | bool = "A",
        variant: str = "original",
        batch_norm: bool = True,
        width: float = 1.0,
        squeeze_excitation: int = 0,
    ) -> CifarResNet:
        return CifarResNet(
            blocks, num_classes, in_channels, shortcut, variant, batch_norm, width, squeeze_excitation
        )

    factory.__doc__ = (
        f"{name} of He et al., arXiv 1512.03385, for 32×32 images: {blocks} blocks in each of three stages."
    )
    register(name)(factory)


for _name, _blocks in BLOCKS.items():
    _register(_name, _blocks)
