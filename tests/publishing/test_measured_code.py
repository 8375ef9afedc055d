"""The code behind a measured function: what changes its digests, what does not, and which rules hold."""

import ast

import pytest

from utils.publishing.measured_code import _names, measured_code, measured_problems

START = (
    'from utils.course import start_lab\nlab = start_lab("01_test", epochs=(1, 5, 20), images=(8, 100, 1000))'
)
DATA = """
import torch
from utils.training import fit, evaluate
data = lab.dataset("cifar10")
train = data.train.subset(lab.sizes.images)
SIDE = 32
unrelated = 1
"""
HELPERS = '''
def new_net(seed):
    """A network."""
    torch.manual_seed(seed)
    return torch.nn.Linear(SIDE, 10)  # of ten classes


class Meter:
    """Counts."""

    def add(self, x):
        """One more."""
        return helper_of_meter(x)


def helper_of_meter(x):
    return x + 1
'''
MEASURE = """
@lab.measured
def accuracy(epochs):
    found = [fit(new_net(seed), train, epochs=epochs) for seed in range(3)]
    return {"accuracy": [Meter().add(one) for one in found]}
"""
CALL = "found = accuracy(lab.sizes.epochs)\nunrelated = found"
CELLS = [START, DATA, HELPERS, MEASURE, CALL]


def code(cells=CELLS):
    (found,) = measured_code(cells)
    return found.code


def changed(old, new, cells=CELLS):
    """The names of which the digests are others after ``old`` became ``new`` in the cells."""
    text = "\n#cut\n".join(cells)
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the cells"
    before, after = code(cells), code(text.replace(old, new).split("\n#cut\n"))
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_what_a_function_rests_on():
    names = {
        "accuracy",
        "new_net",
        "SIDE",
        "train",
        "data",
        "Meter",
        "helper_of_meter",
        "imports",
        "the call",
    }
    assert set(code()) == names | {"lab.sizes.epochs", "lab.sizes.images"}
    assert code()["lab.sizes.epochs"] == "5" and code()["lab.sizes.images"] == "100"


@pytest.mark.parametrize(
    "old, new, names",
    [
        ("range(3)", "range(4)", {"accuracy"}),
        ("SIDE = 32", "SIDE = 28", {"SIDE"}),
        ("Linear(SIDE, 10)", "Linear(SIDE, 100)", {"new_net"}),
        ("x + 1", "x + 2", {"helper_of_meter"}),
        ('dataset("cifar10")', 'dataset("digits")', {"data"}),
        ("from utils.training import fit", "from utils.other import fit", {"imports"}),
        ("epochs=(1, 5, 20)", "epochs=(1, 6, 20)", {"lab.sizes.epochs"}),
        ("accuracy(lab.sizes.epochs)", "accuracy(7)", {"the call", "lab.sizes.epochs"}),
        ("SIDE = 32", "SIDE = 32\nSIDE += 1", {"SIDE"}),
        ("SIDE = 32", "SIDE = 32\nif True:\n    SIDE = 4", {"SIDE"}),
        ("unrelated = 1", "train.labels[0] = 3", {"train"}),
        ("unrelated = 1", "train.spoil()", {"train"}),
        ("unrelated = 1", "history = fit(train)", {"train"}),
        # the last binding counts, and what it rests on is not what follows it
        ("SIDE = 32", "SIDE = 4\nSIDE = 32", set()),
        # these do not count
        ("unrelated = 1", "unrelated = 2", set()),
        ("unrelated = 1", "print(train)\ntorch.manual_seed(0)\n[SIDE for SIDE in range(3)]", set()),
        ('"""A network."""', '"""Another text."""', set()),
        ('    """A network."""\n', "", set()),
        ('"""Counts."""', '"""Counted."""', set()),
        ("  # of ten classes", "", set()),
        ("x + 1", "(x\n            + 1)", set()),
        ("epochs=(1, 5, 20)", "epochs=(2, 5, 30)", set()),
        ("import fit, evaluate", "import evaluate, fit", set()),
        ("unrelated = found", "SIDE = 3", set()),
        ("for seed in range(3)", "for seed in range( 3 )", set()),
    ],
)
def test_an_edit_changes_the_digests_of_what_it_changes(old, new, names):
    assert changed(old, new) == names


def test_a_name_that_is_rebound_between_keeps_the_meaning_it_had_where_it_was_used():
    cells = [START, "width = 3\nmade = [width]\nwidth = 5", "@lab.measured\ndef f():\n    return made", "f()"]
    assert changed("width = 5", "width = 6", cells) == set()
    assert changed("width = 3", "width = 4", cells) == {"width"}


def test_a_function_looks_its_names_up_when_it_is_called():
    cells = [START, "def g():\n    return width\nwidth = 3", "@lab.measured\ndef f():\n    return g()", "f()"]
    assert changed("width = 3", "width = 4", cells) == {"width"}
    cells = [START, "g = lambda: width\nwidth = 3", "@lab.measured\ndef f():\n    return g()", "f()"]
    assert changed("width = 3", "width = 4", cells) == {"width"}


def test_sizes_that_are_read_in_a_way_that_cannot_be_followed_all_count():
    cells = [START, "sizes = vars(lab.sizes)", "@lab.measured\ndef f():\n    return sizes", "f()"]
    assert set(code(cells)) == {"f", "sizes", "the call", "lab.sizes.epochs", "lab.sizes.images"}


def test_local_names_and_functions_that_call_themselves():
    cells = [
        START,
        "k = 1\ndef even(n):\n    return n == 0 or odd(n - 1)",
        "def odd(n):\n    return n != 0 and even(n - 1)",
        "@lab.measured\ndef f(n):\n    k = 2\n    return even(n + k)",
        "f(3)",
    ]
    assert set(code(cells)) == {"f", "even", "odd", "the call"}


@pytest.mark.parametrize(
    "cells, complaint",
    [
        (["@lab.measured\ndef f(n):\n    return n"], "it is called 0 times"),
        (["@lab.measured\ndef f(n):\n    return n", "f(1)\nf(2)"], "it is called 2 times, 2 of them outside"),
        (
            ["@lab.measured\ndef f(n):\n    return n", "def g():\n    f(1)"],
            "called 1 times, 0 of them outside",
        ),
        (["@lab.measured\ndef f(n):\n    return lab.sizes.images", "f(1)"], "a size is an argument"),
        (["@lab.measured\ndef f(n):\n    return n", "f(1)"] * 2, "two measured functions are called f"),
        (["def f(n):\n    return n\nf = lab.measured(f)", "f(1)"], "and nowhere else"),
        (["f(1)", "@lab.measured\ndef f(n):\n    return n"], "f is called above its definition"),
    ],
)
def test_each_broken_rule_is_named(cells, complaint):
    assert any(complaint in problem for problem in measured_problems(cells)), measured_problems(cells)
    with pytest.raises(ValueError, match=complaint):
        measured_code(cells)


def test_sound_cells_have_no_problems():
    assert measured_problems(CELLS) == [] == measured_problems([START, DATA])
    assert measured_code([START, DATA]) == []


def test_the_digests_are_the_same_on_every_day_and_machine():
    """If the digest of unchanged code becomes another, all records of the labs are taken for stale."""
    cells = ["@lab.measured\ndef f(n):\n    return [f'{n:.2f}', -1, n**2]", "f(n=3)"]
    assert code(cells) == {"f": "38995dde9405d5e5", "the call": "0a842120905fc8a5"}


@pytest.mark.parametrize(
    "source, reads, binds",
    [
        ("def f(a, *b, c=d, **e) -> g:\n    x = a\n    def h():\n        return x + y", "d g y", "f"),
        ("def f():\n    return [z for z in w]", "w", "f"),
        ("def f():\n    global w\n    w = x\n    return w", "w x", "f"),
        ("[x for x in x if (last := x)]", "x", "last"),
        ("{a: b for a in c for b in a}; {k for k in m}; (n for o in n)", "c m n", ""),
        ("h = lambda a, b=c: a + b + d", "c d", "h"),
        ("class A(B):\n    size = s\n    def f(self):\n        return self.q + width", "B s width", "A"),
        (
            "try:\n    import a.b as c, d.e\nexcept E as error:\n    print(error)",
            "E error print",
            "c d error",
        ),
        ("for i, (j, *k) in l:\n    m += i", "i l m", "i j k m"),
        ("with open(p) as file, q[r].s as t.u:\n    del v", "open p q r t", "file v"),
        ("match a:\n    case [b, *c] | {'d': e, **f}:\n        pass", "a", "b c e f"),
    ],
)
def test_names_that_a_statement_reads_and_binds(source, reads, binds):
    assert _names(ast.parse(source)) == (set(reads.split()), set(binds.split()))
