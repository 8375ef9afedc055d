"""A last batch of one and batch normalization: refused before the first step, only where it would fail."""

import pytest
import torch
from torch import nn

from utils.data.augment import RandomFlip
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.data.views import Views
from utils.models import build_model, list_models
from utils.training import evaluate, fit, train_one_epoch
from utils.training.small_batches import ONE_VALUE, normalizes_one_value

COMPLAINT = "leave a last batch of one example, .*, for it sees a single value in each channel"


def data(n=65, side=8, channels=1):
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=g)
    return Split(images, torch.arange(n) % 2, (0.5,) * channels, (0.3,) * channels)


def narrow(normalization=None):
    """Its last map is 1 × 1."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 8), normalization or nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)
    )


def flat():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def run(model, n=65, **options):
    return fit(model, data(n), **{"epochs": 1, "batch_size": 64, "progress": False, **options})


REFUSED = {
    "1 × 1 map": (narrow, {}, r"65 examples in batches of 64 .* '1' of Sequential .*\[1, 4, 1, 1\]"),
    "vector": (flat, {}, r"65 examples in batches of 64 .* '2' of Sequential .*\[1, 4\]"),
    "other sizes": (flat, {"n": 31, "batch_size": 10}, "31 examples in batches of 10"),
    "within a pair": (lambda: nn.DataParallel(flat()), {}, "'module.2' of DataParallel"),
    "compiled": (lambda: torch.compile(flat(), backend="eager"), {}, "65 examples"),
    "one view": (flat, {"augment": RandomFlip()}, "65 examples"),
}


@pytest.mark.parametrize(("make", "options", "complaint"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_before_the_first_step(make, options, complaint):
    seen, model = [], make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=complaint) as caught:
        run(model, probes=[lambda **_: seen.append(1)], **options)
    assert COMPLAINT.split(",")[0] in str(caught.value) and "set drop_last=True, or give" in str(caught.value)
    assert not seen and model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    remedy = int(str(caught.value).rsplit(" ", 1)[1])
    for more in ({"drop_last": True}, {"batch_size": remedy}):
        assert len(run(make(), **{**options, **more})) == 1


def test_batches_of_one_and_a_single_example():
    with pytest.raises(
        ValueError, match="64 examples in batches of 1 are batches .*; give another batch_size"
    ):
        run(flat(), n=64, batch_size=1)
    with pytest.raises(
        ValueError, match="64 examples in batches of 1 are batches .*; give another batch_size"
    ):
        run(flat(), n=64, batch_size=1, drop_last=True)  # drops nothing
    with pytest.raises(ValueError, match="there is one example to train on, .*; give more examples$"):
        run(flat(), n=1)


def frozen():
    """Its batch normalization stays in evaluation mode."""

    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), Frozen(4), nn.Linear(4, 2))


TAKEN = {
    "larger maps": (lambda: nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2)), {}),
    "a last batch of two": (flat, {"n": 66}),
    "whole batches": (flat, {"n": 128}),
    "dropped": (flat, {"drop_last": True}),
    "two views of it": (flat, {"augment": Views(RandomFlip()), "loss": lambda z, y: z.square().mean(),
                               "hits": lambda z, y: y.sum()}),
    "frozen": (frozen, {}),
    "normalized by groups": (lambda: narrow(nn.GroupNorm(2, 4)), {}),
    "no normalization": (lambda: narrow(nn.Identity()), {}),
}  # fmt: skip


@pytest.mark.parametrize(("make", "options"), TAKEN.values(), ids=TAKEN)
def test_what_would_not_fail_is_not_refused(make, options):
    assert len(run(make(), **options)) == 1


def test_a_batch_of_one_is_evaluated():
    assert evaluate(flat(), data(65), batch_size=64).n == 65


class Functional(nn.Module):
    """Batch normalization by a function, which cannot be looked into beforehand."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 2)

    def forward(self, x):
        z = self.layer(x.flatten(1))
        return nn.functional.batch_norm(z, None, None, training=True) if self.training else z


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("make", [Functional, lambda: torch.jit.script(flat())], ids=["function", "scripted"])
def test_what_cannot_be_seen_beforehand_is_told_when_it_happens(make):
    with pytest.raises(ValueError, match="a batch of 1 is too small for the batch normalization .*drop_last"):
        run(make())
    with pytest.raises(ValueError, match="a batch of 1 is too small for the batch normalization .*drop_last"):
        train_one_epoch(model := make(), Batches(data(3), 2), torch.optim.SGD(model.parameters(), lr=0.1))


SIZES = ((3, 32), (1, 32), (1, 28), (3, 64), (3, 224))
DEEP = ("mobilenet-v2", "resnet-18", "resnet-34", "resnet-50", "resnet-101", "resnet-152")


@pytest.mark.parametrize("name", list_models())
def test_what_is_said_of_a_registered_network_is_what_torch_does(name):
    """Fail those that bring 32 pixels down to one before a normalization."""
    with torch.device("meta"):
        model = build_model(name, num_classes=2)
        for size in SIZES:
            try:
                model.eval()(torch.zeros(1, size[0], size[1], size[1]))
            except (RuntimeError, ValueError):
                continue
            break
        x = torch.zeros(1, size[0], size[1], size[1])
        found = normalizes_one_value(model, x)
        try:
            model.train()(x)
            fails = False
        except ValueError as error:
            assert ONE_VALUE in str(error)
            fails = True
    assert (found is not None) == fails == (name in DEEP), size


def test_a_batch_size_is_proposed_however_far_away():
    with pytest.raises(ValueError, match="give another batch_size, such as 5$"):
        run(flat(), n=13, batch_size=1)


def test_looking_leaves_every_part_in_its_mode():
    model = flat()
    model[1].eval()
    x = torch.zeros(1, 1, 8, 8)
    assert normalizes_one_value(model, x) == ("2", [1, 4])
    assert model.training and not model[1].training and model[2].training
