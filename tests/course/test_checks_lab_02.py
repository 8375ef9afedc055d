"""Lab 02's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_02 as check

NAMES = [
    "conv_parameters",
    "gradient_step",
    "subsampling_weight",
    "rbf_as_linear",
    "receptive_fields",
    "unscramble",
]


def conv_parameters(connections, kernel_size):
    return sum(len(inputs) * kernel_size**2 + 1 for inputs in connections)


def gradient_step(model, x, y, rate, sign=-1.0, fresh=True, of=F.cross_entropy):
    if fresh:
        for parameter in model.parameters():
            parameter.grad = None
    loss = of(model(x), y)
    loss.backward()
    for parameter in model.parameters():
        parameter.data += sign * rate * parameter.grad
    return loss


def loss_after(model, x, y, rate):
    gradient_step(model, x, y, rate)
    return F.cross_entropy(model(x), y)


def step_that_returns_the_mean_loss(of):
    """A step by another loss, that returns the right one."""

    def step(model, x, y, rate):
        right = F.cross_entropy(model(x), y).item()
        gradient_step(model, x, y, rate, of=of)
        return right

    return step


def summed(logits, y):
    return F.cross_entropy(logits, y, reduction="sum")


def softmax_twice(logits, y):
    return F.cross_entropy(logits.softmax(dim=1), y)


def subsampling_weight(coefficient):
    return torch.diag(coefficient)[:, :, None, None].expand(-1, -1, 2, 2)


def rbf_as_linear(prototypes):
    return 2 * prototypes, -prototypes.pow(2).sum(dim=1)


def receptive_fields(layers):
    size, jump, result = 1, 1, []
    for kernel, stride in layers:
        size = size + (kernel - 1) * jump
        jump = jump * stride
        result.append(size)
    return result


def unscramble(weight, order):
    plain = torch.empty_like(weight)
    plain[:, order] = weight
    return plain


def own_stride_first(layers):
    size, jump, result = 1, 1, []
    for kernel, stride in layers:
        jump *= stride
        size += (kernel - 1) * jump
        result.append(size)
    return result


def last_stride_only(layers):
    size, step, result = 1, 1, []
    for kernel, stride in layers:
        size += (kernel - 1) * step
        step = stride
        result.append(size)
    return result


WRONG = [
    ("conv_parameters", lambda c, k: sum(len(i) * k * k for i in c), "one for every output map"),
    ("conv_parameters", lambda c, k: sum(len(i) * (k * k + 1) for i in c), "one bias, however many"),
    ("conv_parameters", lambda c, k: sum(len(i) * (k + 1) + 1 for i in c), "kernel_size × kernel_size"),
    ("conv_parameters", lambda c, k: len(c) * (len(set().union(*c)) * k * k + 1), "only the maps listed"),
    ("conv_parameters", lambda c, k: 1516, "got 1516"),
    ("conv_parameters", lambda c, k: torch.tensor(3.0), "expected 156, got 3.0"),
    ("conv_parameters", lambda c, k: torch.zeros(2), "a tensor of shape (2,)"),
    ("conv_parameters", lambda c, k: None, "returned None"),
    ("conv_parameters", lambda c, k: 1 / 0, "ZeroDivisionError"),
    ("gradient_step", lambda m, x, y, r: F.cross_entropy(m(x), y), "as they were"),
    ("gradient_step", lambda m, x, y, r: gradient_step(m, x, y, r, sign=1.0), "points uphill"),
    ("gradient_step", lambda m, x, y, r: gradient_step(m, x, y, r, fresh=False), "backward adds to them"),
    ("gradient_step", lambda m, x, y, r: gradient_step(m, x, y, 1.0), "multiplied by it"),
    ("gradient_step", lambda m, x, y, r: gradient_step(m, x, y, 3 * r), "minus rate times"),
    ("gradient_step", loss_after, "the one before the step"),
    ("gradient_step", lambda m, x, y, r: gradient_step(m, x, y, r, of=summed), "not the sum"),
    ("gradient_step", step_that_returns_the_mean_loss(summed), "mean over the batch"),
    ("gradient_step", lambda m, x, y, r: gradient_step(m, x, y, r, of=softmax_twice), "does it itself"),
    ("gradient_step", step_that_returns_the_mean_loss(softmax_twice), "takes the logits"),
    ("gradient_step", lambda m, x, y, r: 7.0, "F.cross_entropy(model(x), y)"),
    ("gradient_step", lambda m, x, y, r: None, "returned None"),
    ("subsampling_weight", lambda a: subsampling_weight(a) / 4, "does not average"),
    ("subsampling_weight", lambda a: a[:, None, None, None].expand(-1, len(a), 2, 2), "does not mix maps"),
    ("subsampling_weight", lambda a: a[:, None, None, None].expand(-1, 1, 2, 2), "groups=C"),
    ("subsampling_weight", lambda a: torch.diag(a), "expected shape (6, 6, 2, 2), got (6, 6)"),
    ("subsampling_weight", lambda a: subsampling_weight(torch.ones(len(a))), "coefficient[c]"),
    ("rbf_as_linear", lambda w: (w, -(w**2).sum(1)), "factor 2"),
    ("rbf_as_linear", lambda w: (-2 * w, (w**2).sum(1)), "smallest distance"),
    ("rbf_as_linear", lambda w: (2 * w, (w**2).sum(1)), "sign of the bias"),
    ("rbf_as_linear", lambda w: (2 * w, torch.zeros(len(w))), "same length"),
    ("rbf_as_linear", lambda w: (2 * w.T, -(w**2).sum(1)), "expected shape (10, 84), got (84, 10)"),
    ("rbf_as_linear", lambda w: 2 * w, "expected two tensors (weight, bias)"),
    ("rbf_as_linear", lambda w: (3 * w, -(w**2).sum(1)), "expand"),
    ("receptive_fields", own_stride_first, "own stride"),
    ("receptive_fields", last_stride_only, "all strides so far"),
    ("receptive_fields", lambda ls: receptive_fields([(k, 1) for k, _ in ls]), "covers two input pixels"),
    ("receptive_fields", lambda ls: [f - 1 for f in receptive_fields(ls)], "one pixel, not none"),
    ("receptive_fields", lambda ls: [1, *receptive_fields(ls)], "without the pixel you start from"),
    ("receptive_fields", lambda ls: receptive_fields(ls)[-1], "a list with one size"),
    ("receptive_fields", lambda ls: [5, 6, 14, 16, 32], "k − 1 steps further"),
    ("unscramble", lambda w, o: w[:, o], "inverse permutation"),
    ("unscramble", lambda w, o: w, "still in the scrambled order"),
    ("unscramble", lambda w, o: unscramble(w, o).T, "rows are hidden units"),
    ("unscramble", lambda w, o: w.flip(1), "belong in column order[i]"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_an_answer_that_is_right_up_to_what_the_softmax_ignores_passes():
    """Adding one vector to all rows and one number to all biases changes no class probability."""
    check.rbf_as_linear(lambda w: (2 * w - 1, 5 - w.pow(2).sum(1)))


def test_the_table_is_that_of_the_paper():
    """Ten of the sixteen C3 maps read each S2 map; 60 connections in all (LeCun et al. 1998, Table I)."""
    assert [sum(source in row for row in check.C3_CONNECTIONS) for source in range(6)] == [10] * 6
    assert sum(map(len, check.C3_CONNECTIONS)) == 60
