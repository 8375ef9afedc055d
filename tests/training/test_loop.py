"""One epoch and the evaluation, against the same thing written out step by step."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.training import Diverged, Settings, evaluate, predict, train_one_epoch


def split(n=50, classes=4, size=6):
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8, generator=g)
    return Split(images, torch.randint(0, classes, (n,), generator=g), (0.5,), (0.29,))


def network(seed=0, classes=4):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(48, classes),
    )


def same_state(a, b):
    return all(
        torch.equal(s, t) for s, t in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_an_epoch_equals_the_loop_written_out():
    data, ours, plain = split(), network(), network()
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(5)
    epoch = train_one_epoch(ours, Batches(data, 16), optimizer)

    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(5)
    total, correct, losses = 0.0, 0, []
    plain.train()
    for x, y in Batches(data, 16):
        logits = plain(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        total += loss.item() * len(y)
        correct += (logits.argmax(1) == y).sum().item()

    assert same_state(ours, plain)
    assert epoch.step_loss == losses and epoch.n == 50
    # 50 examples in batches of 16, 16, 16 and 2: the sum is divided by examples, not by batches
    assert epoch.loss == pytest.approx(total / 50) and epoch.loss != pytest.approx(sum(losses) / 4, rel=1e-6)
    assert epoch.accuracy == correct / 50


class TwoHeads(nn.Module):
    """A network with an auxiliary head that only runs in training mode."""

    auxiliary_weight = 0.3

    def __init__(self):
        super().__init__()
        self.body, self.head = network(), network(seed=1)

    def forward(self, x):
        return (self.body(x), self.head(x)) if self.training else self.body(x)


def test_auxiliary_heads_add_their_share_of_the_gradient():
    data, model = split(), TwoHeads()
    apart = [copy.deepcopy(model.body), copy.deepcopy(model.head)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(5)
    epoch = train_one_epoch(model, Batches(data, 50), optimizer)

    torch.manual_seed(5)
    x, y = next(iter(Batches(data, 50)))
    for part, weight in zip(apart, (1.0, 0.3), strict=True):  # the heads share nothing: each moves by itself
        loss = F.cross_entropy(part.train()(x), y)
        loss.backward()
        with torch.no_grad():
            for parameter in part.parameters():
                parameter -= 0.1 * weight * parameter.grad
        if weight == 1.0:
            assert epoch.loss == loss.item()
    for ours, theirs in zip(
        model.parameters(), [p for part in apart for p in part.parameters()], strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    assert evaluate(model, data).n == 50


def test_the_learning_rate_is_that_of_the_step_for_every_group():
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[5].parameters(), "lr": 0.02}]
    optimizer = torch.optim.SGD(groups)
    seen = []

    def note(**_):
        seen.append([group["lr"] for group in optimizer.param_groups])

    epoch = train_one_epoch(
        model,
        Batches(split(), 16),
        optimizer,
        lr_factor=lambda step: 1 / (1 + step),
        first_step=3,
        probes=[note],
    )
    assert epoch.step_lr == pytest.approx([0.1 / 4, 0.1 / 5, 0.1 / 6, 0.1 / 7])
    assert [rates[1] for rates in seen] == pytest.approx([0.02 / 4, 0.02 / 5, 0.02 / 6, 0.02 / 7])


def test_a_probe_sees_gradients_before_the_step():
    model, calls = network(), []

    def probe(*, model, step, loss, x, y):
        assert all(p.grad is not None for p in model.parameters())
        calls.append((step, loss.item(), len(x), len(y), model[0].weight.detach().clone()))

    start = model[0].weight.detach().clone()
    epoch = train_one_epoch(
        model, Batches(split(), 16), torch.optim.SGD(model.parameters(), lr=0.1), probes=[probe]
    )
    assert [call[0] for call in calls] == [0, 1, 2, 3] and [call[2] for call in calls] == [16, 16, 16, 2]
    assert [call[1] for call in calls] == epoch.step_loss
    assert torch.equal(calls[0][4], start) and not torch.equal(calls[1][4], start)


def test_the_gradient_norm_is_clipped():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    data = split(16)
    train_one_epoch(model, Batches(data, 16), torch.optim.SGD(model.parameters(), lr=1.0), clip_norm=1e-3)
    moved = torch.cat([p.detach().flatten() for p in model.parameters()]) - before
    assert moved.norm() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("bad_step", [0, 7, 99, 100, 149])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_divergence_names_the_first_bad_step(bad, bad_step):
    model = nn.Linear(1, 2)
    steps = 0

    def loss(logits, y):
        nonlocal steps
        steps += 1
        value = F.cross_entropy(logits, y)
        return value * bad if steps > bad_step else value

    batches = [(torch.ones(2, 1), torch.tensor([0, 1]))] * 150
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(Diverged, match=f"step {1000 + bad_step} .*learning rate 0.25") as caught:
        train_one_epoch(model, batches, optimizer, loss, first_step=1000, lr_factor=lambda step: 0.5)
    assert (caught.value.step, caught.value.lr) == (1000 + bad_step, 0.25)
    assert not torch.isfinite(torch.tensor(caught.value.loss))


def test_a_rate_that_is_too_large_diverges():
    model = network()
    with pytest.raises(Diverged, match="learning rate 1e\\+20"):
        train_one_epoch(model, Batches(split(), 8), torch.optim.SGD(model.parameters(), lr=1e20))


def test_evaluation_by_hand():
    images = torch.tensor([0, 0, 255, 255, 255], dtype=torch.uint8).view(5, 1, 1, 1)
    data = Split(images, torch.tensor([0, 1, 1, 1, 0]), (0.0,), (1.0,))
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():  # logits (1, 0) for black and (0, 1) for white
        model[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
        model[1].bias.copy_(torch.tensor([1.0, 0.0]))
    right, wrong = torch.log(torch.tensor([1 + torch.e**-1, 1 + torch.e])).tolist()
    for batch_size in (1, 2, 3, 5, 100):
        result = evaluate(model, data, batch_size)
        assert (result.accuracy, result.n) == (0.6, 5)
        assert result.loss == pytest.approx((3 * right + 2 * wrong) / 5)
    assert torch.allclose(predict(model, data, 2), torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1], [0, 1]]))


def test_evaluation_uses_evaluation_mode_and_puts_the_mode_back():
    model = network().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = evaluate(model, split()), evaluate(model, split())
    assert first == second and model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    model.eval()
    predict(model, split())
    assert not model.training


def test_the_mode_is_put_back_after_an_error():
    model = network().train()
    with pytest.raises(ValueError, match="labels go from 0 to 8, but Sequential has 4 outputs"):
        evaluate(model, split(classes=9))
    assert model.training


def test_soft_labels_count_at_their_largest_class():
    model = nn.Linear(1, 3, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0], [0.0], [1.0]]))
    soft = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.0, 0.4]])
    epoch = train_one_epoch(model, [(torch.ones(2, 1), soft)], torch.optim.SGD(model.parameters(), lr=0.1))
    assert epoch.accuracy == 0.5
    assert epoch.loss == pytest.approx(F.cross_entropy(torch.tensor([[0.0, 0.0, 1.0]] * 2), soft).item())


def test_no_batches_is_an_error():
    model = network()
    with pytest.raises(ValueError, match="no batch"):
        train_one_epoch(model, [], torch.optim.SGD(model.parameters(), lr=0.1))


def test_bfloat16_runs_the_model_in_bfloat16_and_the_loss_in_float32():
    model, seen = network(), []

    class Spy(nn.Module):
        def forward(self, x):
            out = model(x)
            seen.append(out.dtype)
            return out

    spy = Spy()
    spy.model = model

    def loss(logits, y):
        seen.append(logits.dtype)
        return F.cross_entropy(logits, y)

    settings = Settings(precision="bfloat16", channels_last=True)
    train_one_epoch(
        spy,
        Batches(split(), 16, channels_last=True),
        torch.optim.SGD(model.parameters(), lr=0.1),
        loss,
        settings=settings,
    )
    assert set(seen[::2]) == {torch.bfloat16} and set(seen[1::2]) == {torch.float32}
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_frozen_parts_of_a_model_keep_their_mode():
    model = network().train()
    model[1].eval()
    for look in (evaluate, predict):
        look(model, split())
        assert model.training and not model[1].training and model[4].training


def test_gradients_that_the_optimizer_does_not_own_are_cleared():
    model, seen = network(), []
    model[4] = nn.Identity()  # no dropout: two passes over the same batch have the same gradient
    head = torch.optim.SGD(model[5].parameters(), lr=0.0)
    batch = next(iter(Batches(split(8), 8)))
    probe = lambda model, **_: seen.append(model[0].weight.grad.clone())  # noqa: E731
    train_one_epoch(model, [batch, batch], head, probes=[probe])
    assert seen[0].norm() > 0 and torch.equal(*seen)


def test_an_old_gradient_of_a_frozen_part_does_not_count_in_clipping():
    ends = []
    for old in (0.0, 1e6):
        model = network()
        model[0].weight.grad = torch.full_like(model[0].weight, old)
        model[0].requires_grad_(False)
        torch.manual_seed(0)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
        train_one_epoch(model, Batches(split(), 10, seed=0), optimizer, clip_norm=1.0)
        ends.append(model)
    assert same_state(*ends)
