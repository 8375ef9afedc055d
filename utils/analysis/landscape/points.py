"""Loss and accuracy of a network at points through its weights, one by one or many at once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

Loss = Callable[[Tensor, Tensor], Tensor]
Point = tuple[float, ...]  # a coordinate for each direction

# points at once that are tried on a GPU, as far as memory allows; more of them only make larger the kernels
# that are large already
MOST_POINTS = 32
# a point beside others takes its activations, copies of them in the layout of grouped convolutions, and room
# for what the kernels need
MEMORY_FACTOR = 4
MEMORY_SHARE = 0.5  # of what is free
TIMED_ROUNDS = 2


class Points:
    """A copy of ``model`` that can be moved along ``directions``, and the data it is judged on.

    ``batches``: list of (x, y) on the device of the model. The copy runs in evaluation mode; with
    ``batch_statistics`` its batch normalization takes the statistics of each batch.
    """

    def __init__(
        self,
        model: nn.Module,
        directions: Sequence[Mapping[str, Tensor]],
        batches: Sequence[tuple[Tensor, Tensor]],
        loss_function: Loss,
        batch_statistics: bool,
    ) -> None:
        self.twin = copy.deepcopy(model).eval().to(batches[0][0].device).requires_grad_(False)
        if batch_statistics:
            forget_running_statistics(self.twin)
        self.twin = self.twin.to(memory_format=torch.channels_last)
        self.batches = [(_channels_last(x), y) for x, y in batches]
        self.loss_function = loss_function
        own = tensors_of(self.twin)
        moving = [name for name in own if any(name in direction for direction in directions)]
        self.moving = {name: own[name] for name in moving}  # the twin's own tensors
        self.start = {name: tensor.detach().clone() for name, tensor in self.moving.items()}
        self.directions = [
            {name: _channels_last(d[name].detach().to(own[name])) for name in moving if name in d}
            for d in directions
        ]

    @torch.inference_mode()
    def evaluate(self, points: Sequence[Point], at_once: int) -> Tensor:
        """Loss and accuracy, float64 [points, 2] on the device; accuracy is nan where y are no classes."""
        parts = [points[i : i + at_once] for i in range(0, len(points), at_once)]
        return torch.cat([self._together(part) if at_once > 1 else self._alone(part[0]) for part in parts])

    def _alone(self, point: Point) -> Tensor:
        for name, tensor in self.moving.items():
            tensor.copy_(self.start[name])
            for coordinate, direction in zip(point, self.directions, strict=True):
                if name in direction:
                    tensor.add_(direction[name], alpha=coordinate)
        total = 0.0
        for x, y in self.batches:
            total = total + self._judge(self.twin(x), y)
        return (total / self._examples())[None]

    def _together(self, points: Sequence[Point]) -> Tensor:
        # channels first throughout: vmap knows no fast pooling in the other layout
        weights = {}
        for name, start in self.start.items():
            stack = start.expand(len(points), *start.shape).clone(memory_format=torch.contiguous_format)
            for axis, direction in enumerate(self.directions):
                if name in direction:
                    factors = stack.new_tensor([point[axis] for point in points])
                    stack += factors.view(-1, *[1] * start.ndim) * direction[name]
            weights[name] = stack

        def judge(own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return self._judge(functional_call(self.twin, own, (x,)), y)

        many = vmap(judge, in_dims=(0, None, None), randomness="same")
        total = 0.0
        for x, y in self.batches:
            total = total + many(weights, x.contiguous(), y)
        return total / self._examples()

    def _judge(self, outputs: Tensor | tuple[Tensor, ...], y: Tensor) -> Tensor:
        """Sums over the batch of loss and hits, float64 [2]."""
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        logits = logits.float()
        loss = self.loss_function(logits, y).double() * len(y)
        if y.is_floating_point():
            hits = torch.full_like(loss, torch.nan)
        else:
            hits = (logits.argmax(dim=1) == y).sum().double()
        return torch.stack([loss, hits])

    def _examples(self) -> int:
        return sum(len(y) for _, y in self.batches)

    def points_at_once(self, most: int) -> int:
        """How many points to evaluate together: 1 on a CPU, on a GPU the faster of 1 and as many as fit.

        On CPUs, convolutions that differ from point to point become grouped convolutions, which torch's CPU
        kernels compute more slowly than one after the other (LeNet, ResNet-20 and VGG-A: 1.3 to 2 times).
        """
        device = self.batches[0][0].device
        if device.type != "cuda" or most == 1:
            return 1
        many = min(MOST_POINTS, most, self._fitting(device))
        if many == 1:
            return 1
        everything, self.batches = self.batches, self.batches[:1]
        here: Point = (0.0,) * len(self.directions)
        try:
            seconds = {
                count: min(_seconds(self, [here] * many, count, device) for _ in range(TIMED_ROUNDS + 1))
                for count in (1, many)
            }
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return 1
        finally:
            self.batches = everything
        return min(seconds, key=seconds.__getitem__)

    def _fitting(self, device: torch.device) -> int:
        """How many points fit into the free memory, by what one takes on the largest batch, the first."""
        everything, self.batches = self.batches, self.batches[:1]
        try:
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            self.evaluate([(0.0,) * len(self.directions)], 1)
            activations = torch.cuda.max_memory_allocated(device) - before
        finally:
            self.batches = everything
        weights = sum(tensor.numel() * tensor.element_size() for tensor in self.start.values())
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, int(MEMORY_SHARE * free / (MEMORY_FACTOR * activations + 2 * weights)))


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, shared ones under each of their names."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    return parameters | dict(model.named_buffers(remove_duplicate=False))


def forget_running_statistics(model: nn.Module) -> None:
    """Make batch normalization use the statistics of each batch in evaluation mode too (in place)."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None


def _channels_last(tensor: Tensor) -> Tensor:
    """The layout in which convolutions are faster, on CPU and GPU."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor.contiguous()


def _seconds(points: Points, places: Sequence[Point], at_once: int, device: torch.device) -> float:
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    points.evaluate(places, at_once)
    torch.cuda.synchronize(device)
    return time.perf_counter() - start
