"""How the weights of networks with ReLU start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn


def kaiming_fan_out(model: nn.Module) -> None:
    """Fill the weights of every convolution from a normal distribution with variance 2 / fan-out, biases 0.

    Fan-out is output channels times kernel area (divided by the groups): the variance of the gradients is
    then the same in every layer before a ReLU (He, Zhang, Ren, Sun, "Delving Deep into Rectifiers",
    arXiv 1502.01852, equation 14). Batch norm and linear layers keep what torch gave them.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def kaiming_fan_in(model: nn.Module, outputs: Iterable[nn.Module] = ()) -> None:
    """Fill the weights of every convolution and linear layer from N(0, 2 / fan-in), biases 0.

    Fan-in is the number of inputs of one unit: the variance of what the layers compute is then the same
    all along a stack of them with ReLUs (He, Zhang, Ren, Sun, arXiv 1502.01852, equation 10). The layers
    ``outputs``, which compute the logits, start from N(0, 0.01²) instead, so that an untrained network
    guesses and does not claim to know.
    """
    for module in _convolutions_and_linear_layers(model):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    for module in outputs:
        nn.init.normal_(module.weight, std=0.01)


def glorot_normal(model: nn.Module) -> None:
    """Fill the weights of every convolution and linear layer from N(0, 2 / (fan-in + fan-out)), biases 0.

    Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    equation 12.
    """
    for module in _convolutions_and_linear_layers(model):
        nn.init.xavier_normal_(module.weight)


def gaussian(model: nn.Module, std: float) -> None:
    """Fill the weights of every convolution and linear layer from N(0, std²), biases 0."""
    for module in _convolutions_and_linear_layers(model):
        nn.init.normal_(module.weight, std=std)


def _convolutions_and_linear_layers(model: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """These layers, their biases set to 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            yield module
