"""Lab 06's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import numpy as np
import pytest
import torch

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_06 as check
from utils.course.checks.core import CheckFailed

NAMES = ["fields_of", "field_interval", "layers_needed", "has_holes", "best_dilations", "influence"]


def fields_of(layers, early=False, dilated=True, sign=-1, spread=True, more=0):
    size, jump, start, rows = 1, 1, 0.0, []
    for k, s, p, d in layers:
        jump *= s if early else 1
        reach = (k - 1 + more) * (d if dilated else 1)
        size += reach * (jump if spread else 1)
        start += (reach / 2 + sign * p) * (jump if spread else 1)
        jump *= 1 if early else s
        rows.append((size, jump, start))
    return rows


def altered(**changed):
    return lambda layers: fields_of(layers, **changed)


def field_interval(layers, unit):
    size, jump, start = 1, 1, 0.0
    for k, s, p, d in layers:
        size += (k - 1) * d * jump
        start += ((k - 1) * d / 2 - p) * jump
        jump *= s
    low = start + unit * jump - (size - 1) / 2
    return int(low), int(low) + size - 1


def layers_needed(size, kernel, stride):
    if stride == 1:
        return math.ceil((size - 1) / (kernel - 1))
    count, reached = 0, 1
    while reached < size:
        reached += (kernel - 1) * stride**count
        count += 1
    return count


def stride_too_early(size, kernel, stride):
    count, reached, jump = 0, 1, 1
    while reached < size:
        jump *= stride
        reached += (kernel - 1) * jump
        count += 1
    return count


def has_holes(layers):
    x = torch.zeros(1, 1, 2000, requires_grad=True)
    y = x
    for k, s, _, d in layers:
        y = torch.nn.functional.conv1d(y, torch.ones(1, 1, k), stride=s, dilation=d)
    y[0, 0, 3].backward()
    seen = x.grad[0, 0].nonzero().flatten()
    return len(seen) < int(seen[-1] - seen[0]) + 1


def best_dilations(n):
    return [3 ** (n - 1 - i) for i in range(n)]  # any order does


def influence(kernels):
    result = torch.ones(1)
    for w in kernels:
        wider = torch.zeros(len(result) + len(w) - 1)
        for tap, weight in enumerate(w):
            wider[tap : tap + len(result)] += weight * result
        result = wider
    return result


def any_dilation(layers):
    return any(d > 1 for *_, d in layers)


def tap_stride_too_early(layers, unit):
    first = last = unit
    for k, s, p, d in reversed(layers):
        first, last = first * s - p, last * s - p + (k - 1) * d * s
    return first, last


WRONG = [
    ("fields_of", altered(early=True), "update the jump last"),
    ("fields_of", altered(dilated=False), "(k − 1)·d units"),
    ("fields_of", altered(sign=0), "by p jumps to the left"),
    ("fields_of", altered(sign=1), "the sign of the padding"),
    ("fields_of", altered(spread=False), "multiplies what is added"),
    ("fields_of", altered(more=1), "k − 1 steps, not k"),
    ("fields_of", lambda ls: fields_of(ls)[::-1], "the first layer's first"),
    ("fields_of", lambda ls: [(r, j, 2 * c) for r, j, c in fields_of(ls)], "half of (k − 1)·d"),
    ("fields_of", lambda ls: fields_of(ls)[-1:], "one for each layer"),
    ("fields_of", lambda ls: [row[:2] for row in fields_of(ls)], "size, jump, start"),
    ("fields_of", lambda ls: [(1, 1, 0.0)] * len(ls), "then jump·s, from layer to layer"),
    ("field_interval", lambda ls, u: field_interval(ls[::-1], u), "the last layer comes first"),
    (
        "field_interval",
        lambda ls, u: field_interval([(k, s, 0, d) for k, s, _, d in ls], u),
        "by p to the left",
    ),
    ("field_interval", tap_stride_too_early, "whose taps lie d apart"),
    ("field_interval", lambda ls, u: tuple(max(0, i) for i in field_interval(ls, u)), "Do not cut it off"),
    (
        "field_interval",
        lambda ls, u: tuple(i + e for e, i in enumerate(field_interval(ls, u))),
        "not the one after it",
    ),
    ("field_interval", lambda ls, u: (0, 0), "d·(k − 1) further"),
    ("field_interval", lambda ls, u: 7, "two values (first pixel, last pixel)"),
    ("field_interval", lambda ls, u: 1 // 0, "ZeroDivisionError"),
    ("layers_needed", lambda n, k, s: layers_needed(n, k, s) + 1, "exactly `size` is enough"),
    ("layers_needed", lambda n, k, s: (n - 1) // (k - 1), "at least `size`"),
    ("layers_needed", lambda n, k, s: layers_needed(n, k, 1), "`stride` times as many"),
    ("layers_needed", stride_too_early, "spreads only the layers after it"),
    ("layers_needed", lambda n, k, s: 7, "one by one"),
    ("has_holes", any_dilation, "other layers can fill it"),
    ("has_holes", lambda ls: any_dilation(ls) and has_holes(ls), "larger than the kernel"),
    ("has_holes", lambda ls: 0, "True or False"),
    ("best_dilations", lambda n: [2**i for i in range(n)], "can each reach another pixel"),
    ("best_dilations", lambda n: [4**i for i in range(n)], "sees only"),
    ("best_dilations", lambda n: [1] * (n + 1), "a list of 0 whole numbers"),
    ("best_dilations", lambda n: [0] * n, "a list of 1 whole numbers"),
    ("influence", lambda ks: influence(ks).flip(0), "does not reverse"),
    ("influence", lambda ks: ks[0], "1 + Σ(k − 1)"),
    ("influence", lambda ks: influence(ks)[None, None], "take [0, 0]"),
    ("influence", lambda ks: influence(ks).tolist(), "expected a tensor"),
    ("influence", lambda ks: 2 * influence(ks), "moved by the tap's place"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_forgotten_dilation_is_named():
    def answer(layers, unit):
        return field_interval([(k, s, p, 1) for k, s, p, _ in layers], unit)

    with pytest.raises(CheckFailed, match="d units apart"):
        check.field_interval(answer)


def test_dilations_in_any_order_pass(capsys):
    check.best_dilations(lambda n: [3**i for i in range(n)])
    check.best_dilations(lambda n: list(3 ** np.arange(n)))
    assert "729" in capsys.readouterr().out
