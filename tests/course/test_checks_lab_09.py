"""Lab 09's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_09 as check
from utils.training import schedules
from utils.training.history import best_epoch

NAMES = ["adam_step", "step_factors", "seeds_needed", "honest_report", "clip_by_norm", "nesterov"]
Z = NormalDist().inv_cdf


def adam_step(w, g, state, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t, m, v = state
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), (t, m, v)


def adam(step, *, count=1, share=None, power=2, renewed=True):
    """Adam with another rule (m, v, m corrected, v corrected, eps) -> direction, state, or both."""

    def function(w, g, state, lr, beta1=0.9, beta2=0.999, eps=1e-8):
        t, m, v = state
        old = m, v
        m = beta1 * m + (share or 1 - beta1) * g
        v = beta2 * v + (share or 1 - beta2) * np.abs(g) ** power
        used = (m, v) if renewed else old
        corrected = used[0] / (1 - beta1 ** (t + 1)), used[1] / (1 - beta2 ** (t + 1))
        direction, kept = step(*used, *corrected, eps)
        return w - lr * direction, (t + count, *(kept or (m, v)))

    return function


def right_direction(m, v, mean, square, eps):
    return mean / (np.sqrt(square) + eps), None


def adam_in_place(w, g, state, lr, *options):
    moved, state = adam_step(w, g, state, lr, *options)
    w += moved - w
    return w, state


def adam_squaring_in_place(w, g, state, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t, m, v = state
    t, m = t + 1, beta1 * m + (1 - beta1) * g
    g *= g
    v = beta2 * v + (1 - beta2) * g
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), (t, m, v)


def adam_keeping_one(which):
    """Of the corrected mean and mean square, one in the state."""

    def step(m, v, mean, square, eps):
        return mean / (np.sqrt(square) + eps), (mean, v) if which == "m" else (m, square)

    return adam(step)


def adam_counting_from_0(w, g, state, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t, m, v = state
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    with np.errstate(all="ignore"):
        return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), (t + 1, m, v)


def step_factors(every, gamma, epochs, batches, after):
    factors, calls, factor = [], 0, 1.0
    for _ in range(epochs):
        for _ in range(batches):
            factors.append(factor)
            if after == "batch":
                calls += 1
                factor *= gamma if calls % every == 0 else 1
        if after == "epoch":
            calls += 1
            factor *= gamma if calls % every == 0 else 1
    return factors


def nesterov(w, gradient, lr, momentum, steps):
    parameter = torch.nn.Parameter(w.clone())
    options = {"momentum": momentum, "nesterov": True} if momentum else {}
    optimizer = torch.optim.SGD([parameter], lr=lr, **options)
    for _ in range(steps):
        parameter.grad = gradient(parameter.detach())
        optimizer.step()
    return parameter.detach()


def clip_by_norm(gradients, bound):
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients if g is not None))
    return [None if g is None else g * min(1, bound / max(norm, 1e-12)) for g in gradients]


def honest_report(valid, test, patience):
    for epochs in range(1, len(valid) + 1):
        best = best_epoch(valid[:epochs], True)
        if epochs - 1 - best >= patience:
            break
    return epochs, test[best]


def seeds_needed(sd, difference, power):
    return math.ceil(2 * ((Z(0.975) + Z(power)) * sd / difference) ** 2)


def walk(step):
    """Descent with another rule (gradient, buffer, momentum) -> (buffer, direction)."""

    def function(w, gradient, lr, momentum, steps):
        buffer = torch.zeros_like(w)
        for _ in range(steps):
            buffer, direction = step(gradient(w), buffer, momentum)
            w = w - lr * direction
        return w

    return function


def nesterov_in_place(w, gradient, lr, momentum, steps):
    buffer = torch.zeros_like(w)
    for _ in range(steps):
        g = gradient(w)
        buffer = momentum * buffer + g
        w -= lr * (g + momentum * buffer)
    return w


def clip_dividing(gradients, bound):
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients if g is not None))
    return [None if g is None else g * min(1, bound / norm) for g in gradients]


def clip_after_stacking(gradients, bound):
    norm = max(float(norm_of(gradients)), 1e-12)
    return [None if g is None else g * min(1, bound / norm) for g in gradients]


def clip_by_tensors(gradients, bound):
    norm = torch.tensor(sum(float((g**2).sum()) for g in gradients if g is not None)).sqrt()
    return [None if g is None else g / norm * min(float(norm), bound) for g in gradients]


def patience_renewed(valid, test, patience):
    best, wait = valid[0], 0
    epochs = 0
    for figure in valid:
        epochs += 1
        wait = 0 if figure >= best else wait + 1
        best = max(best, figure)
        if wait >= patience:
            break
    return epochs, test[valid.index(best)]


def each(change):
    """A wrong rule for each gradient, None left alone."""
    return lambda gradients, bound: [None if g is None else change(g, bound, gradients) for g in gradients]


def norm_of(gradients):
    return torch.stack([g.norm() for g in gradients if g is not None]).norm()


WRONG = [
    ("adam_step", adam(lambda m, v, mean, square, eps: (m / (np.sqrt(v) + eps), None)), "it is missing"),
    (
        "adam_step",
        adam(lambda m, v, mean, square, eps: (mean / (np.sqrt(v) + eps), None)),
        "v needs it as well",
    ),
    (
        "adam_step",
        adam(lambda m, v, mean, square, eps: (m / (np.sqrt(square) + eps), None)),
        "m needs it as well",
    ),
    (
        "adam_step",
        adam(lambda m, v, mean, square, eps: (-mean / (np.sqrt(square) + eps), None)),
        "against the gradient",
    ),
    ("adam_step", adam(lambda m, v, mean, square, eps: (mean / (square + eps), None)), "the root of"),
    ("adam_step", adam(lambda m, v, mean, square, eps: (mean / np.sqrt(square + eps), None)), "not under it"),
    (
        "adam_step",
        adam(lambda m, v, mean, square, eps: (mean / (np.sqrt(square) + eps), (mean, square))),
        "for this step only",
    ),
    ("adam_step", adam(right_direction, power=1), "squared"),
    ("adam_step", adam(right_direction, share=1), "has the share 1 − β"),
    ("adam_step", adam(right_direction, renewed=False), "renewed before they are used"),
    ("adam_step", adam(right_direction, count=0), "return t + 1"),
    (
        "adam_step",
        lambda w, g, state, lr, b1, b2, eps: adam_step(w, g, state, lr, b2, b1, eps),
        "β₁ belongs to the mean",
    ),
    (
        "adam_step",
        lambda w, g, state, lr, *options: (adam_step(w, g, (0, 0.0, 0.0), lr, *options)[0], state),
        "go on from the m and v",
    ),
    ("adam_step", adam_counting_from_0, "it is 1 in the first step"),
    ("adam_step", adam_in_place, "the w that was given as it was"),
    ("adam_step", adam_squaring_in_place, "the g that was given as it was"),
    ("adam_step", adam_keeping_one("m"), "keep m and v as they are"),
    ("adam_step", adam_keeping_one("v"), "keep m and v as they are"),
    ("adam_step", lambda *arguments: adam_step(*arguments)[0], "expected two values (w, state)"),
    ("adam_step", lambda w, *_: (w.sum(), (0, 0.0, 0.0)), "a list of 3 numbers"),
    ("step_factors", lambda e, g, n, b, after: step_factors(e, g, n, b, "epoch"), "stepped after each epoch"),
    ("step_factors", lambda e, g, n, b, after: step_factors(e, g, n, b, "batch"), "stepped after each batch"),
    (
        "step_factors",
        lambda e, g, n, b, after: [
            g ** ((t // (b if after == "epoch" else 1) + 1) // e) for t in range(n * b)
        ],
        "the first one has the factor 1",
    ),
    (
        "step_factors",
        lambda e, g, n, b, after: [g ** (t // (b if after == "epoch" else 1)) for t in range(n * b)],
        "not at each call",
    ),
    (
        "step_factors",
        lambda e, g, n, b, after: [g ** (t // (b if after == "epoch" else 1) / e) for t in range(n * b)],
        "rounded down",
    ),
    (
        "step_factors",
        lambda e, g, n, b, after: [1 - g * (t // (b if after == "epoch" else 1) // e) for t in range(n * b)],
        "it multiplies",
    ),
    (
        "step_factors",
        lambda e, g, n, b, after: [g ** (t // e) for t in range(n)],
        "one factor for each batch",
    ),
    ("step_factors", lambda *_: 0.1, "a list of 30 numbers, got float"),
    ("nesterov", walk(lambda g, b, m: ((m * b + g), (m * b + g))), "ordinary momentum"),
    ("nesterov", walk(lambda g, b, m: (b, g)), "plain gradient descent"),
    ("nesterov", walk(lambda g, b, m: ((m * b + g), (g + m * b + g))), "leaves the momentum out"),
    ("nesterov", walk(lambda g, b, m: (m * b + g, g + b)), "renewed before it is used"),
    (
        "nesterov",
        walk(lambda g, b, m: ((m * b + (1 - m) * g), g + m * (m * b + (1 - m) * g))),
        "not (1 − momentum)",
    ),
    ("nesterov", lambda w, g, lr, m, steps: nesterov(w, g, lr, m, 1), "take `steps` of them"),
    (
        "nesterov",
        lambda w, g, lr, m, steps: walk(lambda g, b, m: (m * b + g, g + m * (m * b + g)))(
            w, g, -lr, m, steps
        ),
        "against the gradient",
    ),
    ("nesterov", lambda w, *_: w.tolist(), "list of length 3"),
    ("nesterov", nesterov_in_place, "the w that was given as it was"),
    ("clip_by_norm", lambda gradients, bound: gradients, "nothing was changed"),
    ("clip_by_norm", each(lambda g, bound, all_: g * bound / norm_of(all_)), "was made longer"),
    (
        "clip_by_norm",
        each(lambda g, bound, all_: g * min(1, bound / float(g.norm()))),
        "this is one for each",
    ),
    ("clip_by_norm", each(lambda g, bound, all_: g.clamp(-bound, bound)), "each single entry"),
    (
        "clip_by_norm",
        each(lambda g, bound, all_: g * min(1, bound / sum(float(o.norm()) for o in all_ if o is not None))),
        "not the sum of the norms",
    ),
    (
        "clip_by_norm",
        each(lambda g, bound, all_: g * min(1, bound / float(norm_of(all_)) ** 2)),
        "square root is missing",
    ),
    ("clip_by_norm", each(lambda g, bound, all_: g / norm_of(all_)), "becomes `bound`"),
    (
        "clip_by_norm",
        lambda gradients, bound: clip_by_norm([g for g in gradients if g is not None], bound),
        "a list of 3 gradients",
    ),
    (
        "clip_by_norm",
        lambda gradients, bound: [torch.zeros(1) if g is None else g for g in clip_by_norm(gradients, bound)],
        "it stays None",
    ),
    ("clip_by_norm", clip_dividing, "nothing is divided by it"),
    ("clip_by_norm", clip_after_stacking, "the root of an empty sum"),
    ("clip_by_norm", clip_by_tensors, "clip_by_norm for a gradient of zeros"),
    ("honest_report", patience_renewed, "does not renew the patience"),
    (
        "honest_report",
        lambda v, t, p: (honest_report(v, t, p)[0], max(t[: honest_report(v, t, p)[0]])),
        "chosen on the test split",
    ),
    (
        "honest_report",
        lambda v, t, p: (honest_report(v, t, p)[0], t[honest_report(v, t, p)[0] - 1]),
        "the last one that was run",
    ),
    (
        "honest_report",
        lambda v, t, p: (honest_report(v, t, p)[0], v[best_epoch(v[: honest_report(v, t, p)[0]], True)]),
        "validation accuracy",
    ),
    (
        "honest_report",
        lambda v, t, p: (honest_report(v, t, p)[0], t[best_epoch(v, True)]),
        "only those that were run",
    ),
    ("honest_report", lambda v, t, p: (honest_report(v, t, p)[0] - 1, 0.0), "counted from 1"),
    ("honest_report", lambda v, t, p: (len(v), t[best_epoch(v, True)]), "was not stopped"),
    ("honest_report", lambda v, t, p: 0.9, "expected two values (epochs, accuracy)"),
    ("seeds_needed", lambda s, d, p: math.ceil(((Z(0.975) + Z(p)) * s / d) ** 2), "both means have an error"),
    ("seeds_needed", lambda s, d, p: math.ceil(2 * (Z(0.975) + Z(p)) * s / d), "comes in squared"),
    ("seeds_needed", lambda s, d, p: math.ceil(2 * ((Z(0.95) + Z(p)) * s / d) ** 2), "2.5 % at each side"),
    ("seeds_needed", lambda s, d, p: math.ceil(2 * (Z(0.975) * s / d) ** 2), "only half of the time"),
    ("seeds_needed", lambda s, d, p: 2 * seeds_needed(s, d, p), "not of both together"),
    ("seeds_needed", lambda s, d, p: math.floor(2 * ((Z(0.975) + Z(p)) * s / d) ** 2), "rounding: up"),
    ("seeds_needed", lambda s, d, p: 2 * ((Z(0.975) + Z(p)) * s / d) ** 2, "math.ceil"),
]


RIGHT = {name: globals()[name] for name in NAMES}
(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, RIGHT, WRONG)
test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(check, RIGHT)


def test_the_expected_steps_are_torchs():
    parameter, state = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)), (0, 0.0, 0.0)
    w = parameter.detach().numpy().copy()
    optimizer = torch.optim.Adam([parameter], lr=0.1, betas=(0.8, 0.9), eps=0.01)
    for seed in range(5):
        g = np.random.default_rng(seed).standard_normal(3)
        w, state = adam_step(w, g, state, 0.1, 0.8, 0.9, 0.01)
        parameter.grad = torch.from_numpy(g)
        optimizer.step()
    assert w == pytest.approx(parameter.detach().numpy())


def test_the_expected_factors_are_those_of_the_library():
    each_epoch, each_batch = schedules.step(3, 0.1), schedules.step(3, 0.1, unit="batch")
    assert step_factors(3, 0.1, 7, 4, "epoch") == pytest.approx([each_epoch(t // 4) for t in range(28)])
    assert step_factors(3, 0.1, 7, 4, "batch") == pytest.approx([each_batch(t) for t in range(28)])


def test_the_expected_clipping_is_torchs():
    parameters = [
        torch.nn.Parameter(torch.zeros(3, 2)),
        torch.nn.Parameter(torch.zeros(4)),
        torch.nn.Parameter(torch.zeros(1)),
    ]
    for seed, parameter in enumerate(parameters[:2]):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    expected = clip_by_norm([p.grad for p in parameters], 0.5)
    torch.nn.utils.clip_grad_norm_(parameters, 0.5)
    assert (
        all(torch.allclose(p.grad, g, atol=1e-5) for p, g in zip(parameters[:2], expected[:2], strict=True))
        and expected[2] is None
    )
