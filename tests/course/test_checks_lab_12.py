"""Lab 12's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import torch

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_12 as check
from utils.models.heads import parameter_groups

NAMES = ["training_mode", "two_speeds", "speed_up", "renormalize", "fitting_weights"]


def training_mode(model, frozen):
    model.train().requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).eval().requires_grad_(False)
    return model


def two_speeds(model, head, lr, factor):
    return parameter_groups(model, head, lr, factor)


def speed_up(encoder, head, epochs):
    return epochs * (encoder + 2 * head) / (encoder + 2 * head * epochs)


def column(values):
    return values.view(-1, 1, 1)


def pixels(x, mean, std):
    return x * column(std) + column(mean)


def normal(p, mean, std):
    return (p - column(mean)) / column(std)


def renormalize(x, mean, std, new_mean, new_std):
    return normal(pixels(x, mean, std), new_mean, new_std)


def fitting_weights(state, saved, fit=lambda a, b: a.shape == b.shape):
    fits = {name: saved[name] for name in state if name in saved and fit(saved[name], state[name])}
    return fits, [name for name in state if name not in fits]


# ---- slips


def no_eval(model, frozen):
    model.train().requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).requires_grad_(False)
    return model


def eval_before_train(model, frozen):
    for name in frozen:
        model.get_submodule(name).eval()
    model.train().requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).requires_grad_(False)
    return model


def no_flags(model, frozen):
    model.train().requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).eval()
    return model


def stays_asleep(model, frozen):
    model.requires_grad_(True)
    for name in frozen:
        model.get_submodule(name).requires_grad_(False)
    return model.eval()


def stays_frozen(model, frozen):
    model.train()
    for name in frozen:
        model.get_submodule(name).eval().requires_grad_(False)
    return model


def never_freezes(model, frozen):
    for name, module in model.named_modules():
        if name and not any(name == root or name.startswith(f"{root}.") for root in frozen):
            module.train()
    for name, parameter in model.named_parameters():
        if not any(name.startswith(f"{root}.") for root in frozen):
            parameter.requires_grad_(True)
    return model


def by_beginning_of_name(model, frozen):
    model.train().requires_grad_(True)
    for name, module in model.named_modules():
        if name and any(name.startswith(root) for root in frozen):
            module.eval().requires_grad_(False)
    return model


def plain_groups(model, head, lr, factor):
    return [
        {"params": list(head.parameters()), "lr": lr},
        {"params": list(model.parameters()), "lr": factor * lr},
    ]


def in_sets(model, head, lr, factor):
    return [group | {"params": set(group["params"])} for group in two_speeds(model, head, lr, factor)]


def groups(model, head, above, below, keep=lambda p: p.requires_grad):
    own = {id(p) for p in head.parameters()}
    return [
        {"params": list(head.parameters()), "lr": above},
        {"params": [p for p in model.parameters() if id(p) not in own and keep(p)], "lr": below},
    ]


def last_two(model, head, lr, factor):
    *below, weight, bias = (p for p in model.parameters())
    return [
        {"params": [p for p in part if p.requires_grad], "lr": rate}
        for part, rate in ((below, factor * lr), ((weight, bias), lr))
    ]


def in_place(x, mean, std, new_mean, new_std):
    x.mul_(column(std / new_std)).add_(column((mean - new_mean) / new_std))
    return x


def from_saved(state, saved):
    fits, _ = fitting_weights(state, saved)
    return fits, [name for name in saved if name not in fits]


WRONG = [
    ("training_mode", no_eval, "after model.train()"),
    ("training_mode", eval_before_train, "after model.train()"),
    ("training_mode", no_flags, "eval() alone does not stop the gradient"),
    ("training_mode", stays_asleep, "model.train() first"),
    ("training_mode", stays_frozen, "must learn again"),
    ("training_mode", never_freezes, "frozen modules need eval()"),
    ("training_mode", by_beginning_of_name, "must be in training mode"),
    ("training_mode", lambda model, frozen: model[0], "the return statement"),
    ("training_mode", lambda model, frozen: training_mode(model, frozen) and None, "returned None"),
    ("two_speeds", in_sets, "needs an order"),
    ("two_speeds", plain_groups, "model.parameters() has those of the head too"),
    ("two_speeds", lambda m, h, lr, f: groups(m, h, f * lr, lr), "the new head learns at lr"),
    (
        "two_speeds",
        lambda m, h, lr, f: groups(m, h, lr, f * lr, lambda p: True),
        "do not belong into an optimizer",
    ),
    ("two_speeds", lambda m, h, lr, f: groups(m, h, lr, f * lr)[:1], "never be trained"),
    ("two_speeds", lambda m, h, lr, f: groups(m, h, lr, f), "factor times lr"),
    (
        "two_speeds",
        lambda m, h, lr, f: groups(m, h, lr, f * lr),
        "4.bias frozen, the rates for 4.bias:\nexpected []",
    ),
    ("two_speeds", last_two, "need not be the last layer"),
    ("two_speeds", lambda m, h, lr, f: list(m.parameters()), "list of dicts"),
    ("speed_up", lambda e, h, n: 1 / speed_up(e, h, n), "above the fraction"),
    ("speed_up", lambda e, h, n: n * (3 * e + 2 * h) / (e + 2 * h * n), "has none"),
    ("speed_up", lambda e, h, n: n * (e + h) / (e + h * n), "as many multiply-adds as the way up"),
    ("speed_up", lambda e, h, n: n * (e + 3 * h) / (e + 3 * h * n), "2 and not 3"),
    ("speed_up", lambda e, h, n: float(n), "that costs something"),
    ("speed_up", lambda e, h, n: (e + 2 * h) / (e + 2 * h * n), "in each of them"),
    ("speed_up", lambda e, h, n: "ten times", "expected one number, got str 'ten times'"),
    ("renormalize", in_place, "an operation in place"),
    ("renormalize", lambda x, m, s, nm, ns: normal(x, nm, ns), "the first half"),
    ("renormalize", lambda x, m, s, nm, ns: pixels(x, m, s), "the second half"),
    ("renormalize", lambda x, m, s, nm, ns: renormalize(x, nm, ns, m, s), "changed places"),
    ("renormalize", lambda x, m, s, nm, ns: normal((x + column(m)) * column(s), nm, ns), "· std first"),
    (
        "renormalize",
        lambda x, m, s, nm, ns: normal(x * column(s) - column(m), nm, ns),
        "it is x · std + mean",
    ),
    ("renormalize", lambda x, m, s, nm, ns: pixels(x, m, s) / column(ns) - column(nm), "before you divide"),
    ("renormalize", lambda x, m, s, nm, ns: normal(x * column(s), nm, ns), "add it back"),
    ("renormalize", lambda x, m, s, nm, ns: renormalize(x, m, s, nm, ns)[0], "expected shape"),
    ("fitting_weights", lambda a, b: fitting_weights(a, b)[0], "expected two values (fits, left)"),
    ("fitting_weights", lambda a, b: fitting_weights(a, b, lambda p, q: True), "does not fit"),
    (
        "fitting_weights",
        lambda a, b: fitting_weights(a, b, lambda p, q: p.numel() == q.numel()),
        "the number of values",
    ),
    ("fitting_weights", lambda a, b: (b, []), "the shape"),
    (
        "fitting_weights",
        lambda a, b: (fitting_weights(b, a)[0], fitting_weights(a, b)[1]),
        "take saved[name]",
    ),
    ("fitting_weights", from_saved, "entries of the file"),
    ("fitting_weights", lambda a, b: (fitting_weights(a, b)[0], []), "keep their random start"),
    (
        "fitting_weights",
        lambda a, b: (fitting_weights(a, b)[0], fitting_weights(a, b)[1][::-1]),
        "the order of the network",
    ),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_an_empty_group_of_ones_own_is_allowed():
    def with_empty(model, head, lr, factor):
        return [*two_speeds(model, head, lr, factor), {"params": [], "lr": 1.0}]

    check.two_speeds(with_empty)


def test_a_number_of_any_kind_is_taken():
    check.speed_up(lambda e, h, n: torch.tensor(speed_up(e, h, n), dtype=torch.float64))
