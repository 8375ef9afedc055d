"""Lab 10's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_10 as check

NAMES = ["smoothed_floor", "dropout", "reflect_index", "cutmix", "effective_parameters"]


def floors(classes, epsilon):
    """(lowest loss of a right image, of a wrong one)."""
    right, other = 1 - epsilon + epsilon / classes, epsilon / classes
    rest = (classes - 2) * other * math.log(other)
    best = -(right * math.log(right) + other * math.log(other) + rest)
    return best, -((right + other) * math.log((right + other) / 2) + rest)


def smoothed_floor(classes, epsilon, accuracy):
    best, wrong = floors(classes, epsilon)
    return accuracy * best + (1 - accuracy) * wrong


def dropout(x, p, training):
    if not training:
        return x
    return x * (torch.rand(x.shape) >= p) / (1 - p)


def reflect_index(place, size):
    place = place % (2 * (size - 1))
    return place if place < size else 2 * (size - 1) - place


def pasted(a, b, la, lb, top, left, size, area=None, fill=None):
    C, H, W = a.shape
    rows, columns = (
        slice(max(0, top), max(0, min(H, top + size))),
        slice(max(0, left), max(0, min(W, left + size))),
    )
    picture = a.clone()
    picture[:, rows, columns] = b[:, rows, columns] if fill is None else fill
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / (H * W) if area is None else area
    return picture, (1 - share) * la + share * lb


def cutmix(a, b, la, lb, size, row, column, **options):
    return pasted(a, b, la, lb, row - size // 2, column - size // 2, size, **options)


def effective_parameters(X, penalty):
    squares = torch.linalg.svdvals(X) ** 2
    return float((squares / (squares + penalty)).sum())


def in_place(a, b, la, lb, size, row, column):
    picture, label = cutmix(a, b, la, lb, size, row, column)
    a.copy_(picture)
    return a, label


def without_clipping(a, b, la, lb, size, row, column):
    top, left = row - size // 2, column - size // 2
    picture = a.clone()
    picture[:, top : top + size, left : left + size] = b[:, top : top + size, left : left + size]
    return picture, cutmix(a, b, la, lb, size, row, column)[1]


def same_mask(x, p):
    survives = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) >= p
    return x * survives / (1 - p)


def eye_forgotten(X, penalty):
    return torch.trace(torch.linalg.solve(X.T @ X + penalty, X.T @ X))


WRONG = [
    ("smoothed_floor", lambda K, eps, a: floors(K, eps)[0], "their floor is higher"),
    ("smoothed_floor", lambda K, eps, a: smoothed_floor(K, eps, 1 - a), "share of the right images"),
    ("smoothed_floor", lambda K, eps, a: smoothed_floor(K, eps, a) / math.log(2), "the natural one"),
    ("smoothed_floor", lambda K, eps, a: -smoothed_floor(K, eps, a), "the sign"),
    (
        "smoothed_floor",
        lambda K, eps, a: smoothed_floor(K, eps * K / (K - 1), a) if eps < 1 else 0.0,
        "over all K classes",
    ),
    ("smoothed_floor", lambda K, eps, a: "low", "got str"),
    ("dropout", lambda x, p, training: x * (torch.rand(x.shape) >= p) / (1 - p), "in evaluation"),
    ("dropout", lambda x, p, training: x if training else x * (1 - p), "in evaluation"),
    ("dropout", lambda x, p, training: F.dropout(x, p, training, inplace=True), "an operation in place"),
    ("dropout", lambda x, p, training: F.dropout2d(x, p, training), "whole channels"),
    (
        "dropout",
        lambda x, p, training: x * (torch.rand(x.shape[1:]) >= p) / (1 - p) if training else x,
        "the same entries in every image",
    ),
    (
        "dropout",
        lambda x, p, training: x * (torch.rand(len(x), 1, 4, 5) >= p) / (1 - p) if training else x,
        "the same entries in every channel",
    ),
    ("dropout", lambda x, p, training: dropout(x, 1 - p, training), "not of being kept"),
    (
        "dropout",
        lambda x, p, training: dropout(x, p, training) * (1 - p if training else 1),
        "keeps the expectation",
    ),
    (
        "dropout",
        lambda x, p, training: same_mask(x, p) if training else x,
        "drawn anew",
    ),
    ("dropout", lambda x, p, training: x, "the share of entries that are zero"),
    ("dropout", lambda x, p, training: x.mean() if training else x, "expected shape (40, 30, 4, 5)"),
    ("reflect_index", lambda place, size: place % size, "not mirrored"),
    ("reflect_index", lambda place, size: min(max(place, 0), size - 1), "repeats the edge pixel"),
    ("reflect_index", lambda place, size: (size - 1) - abs((size - 1) - abs(place)), "mirrored again"),
    (
        "reflect_index",
        lambda place, size: [*range(size), *range(size - 1, -1, -1)][place % (2 * size)],
        "not repeated",
    ),
    ("reflect_index", lambda place, size: "left", "expected one number, got str 'left'"),
    ("cutmix", lambda a, b, *rest: cutmix(b, a, *rest), "comes from the second one"),
    (
        "cutmix",
        lambda a, b, la, lb, size, row, column: pasted(a, b, la, lb, row, column, size),
        "is the center of the square",
    ),
    ("cutmix", lambda *arguments: cutmix(*arguments, fill=0), "not with black"),
    ("cutmix", without_clipping, "clip them to 0"),
    ("cutmix", in_place, "one that has been changed"),
    ("cutmix", lambda *arguments: cutmix(*arguments)[0], "expected two values (image, label)"),
    ("cutmix", lambda a, b, la, lb, *rest: cutmix(a, b, lb, la, *rest), "belongs to the second label"),
    (
        "cutmix",
        lambda a, b, la, lb, size, *rest: cutmix(a, b, la, lb, size, *rest, area=size**2 / 80),
        "after clipping",
    ),
    ("cutmix", lambda a, b, la, lb, *rest: (cutmix(a, b, la, lb, *rest)[0], la), "must be mixed too"),
    ("cutmix", lambda *arguments: cutmix(*arguments, area=0.5), "not half and half"),
    ("effective_parameters", lambda X, penalty: X.shape[1], "as without one"),
    ("effective_parameters", lambda X, penalty: effective_parameters(X, penalty**2), "not squared"),
    ("effective_parameters", eye_forgotten, "on the diagonal only"),
    (
        "effective_parameters",
        lambda X, penalty: effective_parameters(X, penalty) / X.shape[1],
        "not its mean",
    ),
    ("effective_parameters", lambda X, penalty: X.shape[1] - effective_parameters(X, penalty), "taken away"),
    ("effective_parameters", lambda X, penalty: torch.linalg.svdvals(X), "expected one number"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_the_expected_floor_is_reached_by_torchs_loss_and_not_undercut():
    classes, epsilon = 10, 0.1
    right, wrong = floors(classes, epsilon)
    target = torch.full((classes,), epsilon / classes, dtype=torch.float64)
    target[0] += 1 - epsilon
    shared = target.clone()
    shared[:2] = target[:2].mean()
    label = torch.tensor([0])
    for probabilities, lowest in ((target, right), (shared, wrong)):
        assert F.cross_entropy(
            probabilities.log()[None], label, label_smoothing=epsilon
        ).item() == pytest.approx(lowest)
    # any image that is answered wrongly lies above
    logits = 3 * torch.randn(5000, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    losses = F.cross_entropy(logits, label.expand(5000), label_smoothing=epsilon, reduction="none")
    assert losses[logits.argmax(1) != 0].min() >= wrong and losses.min() >= right


def test_torchs_own_dropout_passes(capsys):
    check.dropout(lambda x, p, training: F.dropout(x, p, training))
    assert capsys.readouterr().out.startswith("✓")


def test_the_expected_reflection_is_that_of_torchs_padding():
    row = torch.arange(7.0)
    padded = F.pad(row[None], (6, 6), mode="reflect")[0].tolist()
    assert [reflect_index(place, 7) for place in range(-6, 13)] == padded


def test_the_expected_trace_is_that_of_the_whole_matrix():
    X = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    smoother = X @ torch.linalg.inv(X.T @ X + 0.7 * torch.eye(4, dtype=torch.float64)) @ X.T
    assert effective_parameters(X, 0.7) == pytest.approx(float(smoother.trace()))
