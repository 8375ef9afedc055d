"""The walk from a residual network to ConvNeXt, one step after the other, for 32×32 images.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022, arXiv 2201.03545, section 2
and table 10: ResNet-50 becomes ConvNeXt-T by twelve changes, each of which keeps those before it
(:data:`STEPS`). ``convnext-walk`` with ``step="resnet"`` is the start, and by default the end.

Deviations: a narrow network for small images. ``channels`` of the first stage are 16 where the paper has 64
(and 24 where it has 96); the first layer is a 3×3 convolution of stride 1 with 2×2 max pooling in place of
7×7 and pooling, and the "patchify" layer is 2×2 of stride 2 in place of 4×4 of stride 4, so that the stages
have 16×16, 8×8, 4×4 and 2×2 pixels. No layer scale and no stochastic depth, which belong to the paper's
training. Where the channels change in a block whose depthwise convolution comes first, that convolution has
those of the input, and the shortcut is a 1×1 convolution; the paper does not say.
"""

from __future__ import annotations

from torch import Tensor, nn

from utils.models.convnext import ChannelNorm
from utils.models.input_check import check_channels
from utils.models.options import scaled
from utils.models.registry import register

STEPS = (
    "resnet",
    "stage-ratio",
    "patchify",
    "depthwise",
    "width",
    "inverted",
    "move-up",
    "kernel-7",
    "gelu",
    "fewer-activations",
    "fewer-norms",
    "layer-norm",
    "separate-downsampling",
)
CHANNELS, WIDENED = 16, 24  # of the first stage, in the narrow place of a block
SMALLEST = 16  # pixels a side that leave one in the last stage


class Recipe:
    """Which of the steps have been taken."""

    def __init__(self, step: str):
        if step not in STEPS:
            raise ValueError(f"step must be one of {', '.join(STEPS)}, got {step!r}")
        self.taken = set(STEPS[: STEPS.index(step) + 1])

    def __contains__(self, step: str) -> bool:
        return step in self.taken

    def norm(self, channels: int) -> nn.Module:
        """Batch norm, or layer norm over the channels of each pixel."""
        return ChannelNorm(channels) if "layer-norm" in self else nn.BatchNorm2d(channels)

    def activation(self) -> nn.Module:
        """ReLU, or GELU."""
        return nn.GELU() if "gelu" in self else nn.ReLU()


class WalkBlock(nn.Module):
    """A block of the walk: x + branch(x), then an activation as long as there is one after the addition.

    ``[B, inputs, H, W]`` -> ``[B, outputs, H / stride, W / stride]``. ``channels`` are those of the stage:
    the narrow place in the middle of a bottleneck, and the narrow ends of an inverted one.
    """

    def __init__(self, recipe: Recipe, inputs: int, channels: int, stride: int):
        super().__init__()
        self.outputs = channels if "inverted" in recipe else 4 * channels
        layers = _branch(recipe, inputs, channels, self.outputs, stride)
        self.branch = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != self.outputs:
            projection = nn.Conv2d(inputs, self.outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, recipe.norm(self.outputs))
        self.after = nn.Identity() if "fewer-activations" in recipe else recipe.activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.shortcut(x) + self.branch(x))


def _branch(recipe: Recipe, inputs: int, channels: int, outputs: int, stride: int) -> list[nn.Module]:
    """The three convolutions in their order, with the norms and activations that are left of them."""
    kernel = 7 if "kernel-7" in recipe else 3
    hidden = 4 * channels if "inverted" in recipe else channels
    sizes = [(inputs, hidden, 1), (hidden, hidden, kernel), (hidden, outputs, 1)]
    if "move-up" in recipe:
        sizes = [(inputs, inputs, kernel), (inputs, hidden, 1), (hidden, outputs, 1)]
    spatial = 0 if "move-up" in recipe else 1
    normed = {spatial} if "fewer-norms" in recipe else {0, 1, 2}
    activated = {1} if "fewer-activations" in recipe else {0, 1}
    layers: list[nn.Module] = []
    for place, (before, behind, size) in enumerate(sizes):
        step = stride if place == spatial else 1
        groups = before if place == spatial and "depthwise" in recipe else 1
        # a batch norm would take away a bias
        bias = place not in normed or "layer-norm" in recipe
        layers.append(nn.Conv2d(before, behind, size, step, size // 2, groups=groups, bias=bias))
        if place in normed:
            layers.append(recipe.norm(behind))
        if place in activated:
            layers.append(recipe.activation())
    return layers


class ConvNeXtWalk(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``; any size of image from 16×16."""

    def __init__(self, num_classes: int, in_channels: int, step: str, width: float):
        super().__init__()
        recipe = Recipe(step)
        self.in_channels = in_channels
        first = scaled(WIDENED if "width" in recipe else CHANNELS, width)
        self.stem = _stem(recipe, in_channels, first)
        separate = "separate-downsampling" in recipe
        inputs = first
        for stage, blocks in enumerate((3, 3, 9, 3) if "stage-ratio" in recipe else (3, 4, 6, 3)):
            channels, layers = first * 2**stage, []
            if stage and separate:
                layers += [recipe.norm(inputs), nn.Conv2d(inputs, channels, 2, 2)]
                inputs = channels
            for number in range(blocks):
                stride = 2 if stage and number == 0 and not separate else 1
                block = WalkBlock(recipe, inputs, channels, stride)
                layers.append(block)
                inputs = block.outputs
            self.add_module(f"stage{stage + 1}", nn.Sequential(*layers))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.norm = recipe.norm(inputs) if separate else nn.Identity()
        self.fc = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)  # the paper's appendix A
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("convnext-walk", x, self.in_channels, SMALLEST)
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return self.fc(self.norm(self.pool(x)).flatten(1))


def _stem(recipe: Recipe, in_channels: int, channels: int) -> nn.Sequential:
    if "patchify" not in recipe:
        first: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)]
    else:
        first = [nn.Conv2d(in_channels, channels, 2, 2, bias="layer-norm" in recipe)]
    layers = [*first, recipe.norm(channels)]
    if "fewer-activations" not in recipe:
        layers.append(recipe.activation())
    if "patchify" not in recipe:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@register("convnext-walk")
def convnext_walk(
    num_classes: int = 10, in_channels: int = 3, *, step: str = STEPS[-1], width: float = 1.0
) -> ConvNeXtWalk:
    """A narrow network on the way from ResNet-50 to ConvNeXt-T (Liu et al., arXiv 2201.03545)."""
    return ConvNeXtWalk(num_classes, in_channels, step, width)
