"""What the checks of all labs share: one wording of a failure, numbers of every kind, hints by tolerance."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from utils.course.checks import core
from utils.course.checks.core import CheckFailed

LABS = sorted(Path(core.__file__).parent.glob("lab_*.py"))


def message(function, *arguments, **options) -> str:
    with pytest.raises(CheckFailed) as failure:
        function(*arguments, **options)
    return str(failure.value)


def test_a_failure_says_what_was_expected_what_came_and_what_to_look_at():
    assert message(core.fail, "f(3)", "9", "6", "the square.") == (
        "f(3): expected 9, got 6.\nLook at: the square."
    )


def test_in_a_long_failure_what_came_stands_below_what_was_expected():
    long = "f of " + 90 * "x"
    assert message(core.fail, long, "9", "6", "the square.") == (
        f"{long}:\nexpected 9\ngot      6\nLook at: the square."
    )


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_no_lab_words_a_failure_by_itself_or_has_helpers_of_its_own(path):
    source = path.read_text(encoding="utf-8")
    for own in ("Look at:", "raise CheckFailed", "\nSlips =", "def _number", "TorchFunctionMode"):
        assert own not in source, f"{path.name} has {own!r}; utils/course/checks/core.py has it for all labs"


@pytest.mark.parametrize(
    "value",
    [7, 7.0, np.int64(7), np.float32(7), np.array([7]), torch.tensor(7), torch.tensor([[7.0]])],
    ids=repr,
)
def test_one_number_of_any_kind_is_that_number(value):
    got = core.number_of(value, "f()")
    assert got == 7
    assert type(got) in (int, float)


@pytest.mark.parametrize(
    ("value", "came"),
    [
        ("seven", "str 'seven'"),
        ([7], "list of length 1"),
        (torch.zeros(2), "a tensor of shape (2,)"),
        (np.zeros((2, 3)), "a numpy array of shape (2, 3)"),
        (1j, "complex"),
        (None, "NoneType"),
    ],
)
def test_what_is_not_one_number_is_named(value, came):
    assert message(core.number_of, value, "f()") == (
        f"f(): expected one number, got {came}.\nLook at: the return value."
    )


def test_a_row_of_numbers_has_the_length_that_is_asked_for():
    pairs = [torch.tensor(1), torch.tensor(2.5)], (np.array(1), np.float64(2.5))
    for row in ([1, 2.5], (1, 2.5), np.array([1, 2.5]), torch.tensor([1, 2.5]), *pairs):
        assert core.numbers_of(row, 2, "f()") == [1.0, 2.5]
    assert "expected 3 numbers, got 2.\nLook at: its length" in message(
        core.numbers_of, [1, 2], 3, "f()", "its length"
    )
    assert "expected 1 numbers, got 2" in message(core.numbers_of, [1, 2], 1, "f()")
    assert "a list of 2 numbers, got list of length 2" in message(core.numbers_of, ["a", 2], 2, "f()")
    assert "a list of 1 numbers, got float" in message(core.numbers_of, 0.5, 1, "f()")


def test_several_results_are_named_where_others_came():
    pair = (1, 2)
    assert core.parts_of(pair, ("weight", "bias"), "f()") == pair
    assert message(core.parts_of, torch.zeros(2), ("weight", "bias"), "f()", of="tensors") == (
        "f(): expected two tensors (weight, bias), got a tensor of shape (2,).\n"
        "Look at: the return statement: return weight, bias."
    )
    assert "three values (a, b, c), got tuple of length 2" in message(core.parts_of, pair, "abc", "f()")


def test_rows_of_all_kinds_become_lists_and_all_else_stays():
    for row in ([1, 2], (1, 2), range(1, 3), np.array([1, 2]), torch.tensor([1, 2]), (n for n in (1, 2))):
        assert core.listed(row) == [1, 2]
    assert core.listed("12") == "12"
    assert core.listed(12) == 12
    assert core.listed(torch.tensor(12)) == 12


SLIPS = (
    ("a tensor", torch.tensor([1.0, 2.0])),
    ("a whole number", 269_722),
    ("another number", 0.5),
    ("a list", [1, 2.0]),
    ("nan", float("nan")),
    ("no dimensions", torch.tensor(3.25)),
)


@pytest.mark.parametrize(
    ("got", "hint"),
    [
        (torch.tensor([1.0, 2.0 + 1e-6], dtype=torch.float64), "a tensor"),
        (torch.tensor([1, 2]), "a tensor"),
        (torch.tensor([1.0, 2.1]), "other"),
        (torch.tensor([[1.0, 2.0]]), "other"),
        (torch.tensor([1.0, 2.0], requires_grad=True), "a tensor"),
        (269_722, "a whole number"),
        (269_722.0, "a whole number"),
        (269_723, "other"),  # within the tolerance of a number that is not whole
        (0.5 + 1e-6, "another number"),
        (0.51, "other"),
        ((1, 2.0 + 1e-6), "a list"),
        ([1, 2.0, 3], "other"),
        ([1, None], "other"),
        (float("nan"), "nan"),
        (3.25, "no dimensions"),
        ("text", "other"),
        (None, "other"),
    ],
)
def test_the_hint_is_that_of_the_slip_that_gives_what_came(got, hint):
    assert core.hint_for(got, SLIPS, "other") == hint


def test_the_first_of_two_equal_slips_is_named_and_the_tolerance_counts():
    assert core.hint_for(2, (("first", 2), ("second", 2)), "other") == "first"
    assert core.hint_for(1.01, (("near", 1.0),), "other", atol=0.02) == "near"
    assert core.hint_for(1.01, (("near", 1.0),), "other", rtol=0.0, atol=0.0) == "other"


def test_numbers_agree_within_the_tolerances():
    core.expect_number(1.00001, 1.0, what="x", look_at="")
    assert message(core.expect_number, 1.001, 1.0, what="x", look_at="y") == (
        "x: expected 1, got 1.001.\nLook at: y"
    )
    core.expect_number(1.001, 1.0, what="x", look_at="", rtol=0.01)
    assert "got nan" in message(core.expect_number, float("nan"), 1.0, what="x", look_at="")


def test_copies_are_handed_over_or_the_originals():
    def add_one(x):
        x += 1
        return x

    given = torch.zeros(2)
    core.call(add_one, given)
    assert given.tolist() == [0, 0]
    core.call_with_originals(add_one, given)
    assert given.tolist() == [1, 1]


def test_a_convolution_of_torch_is_noticed():
    x, w = torch.ones(1, 1, 4), torch.ones(1, 1, 2)
    assert core.call_without_convolutions(lambda x, w: (x.unfold(2, 2, 1) * w).sum(3), x, w).sum() == 6

    def short(x, w):
        return F.conv1d(x, w)

    assert message(core.call_without_convolutions, short, x, w).startswith("short calls F.conv1d: ")


def check_double(function):
    got = core.call(function, 3)
    if got != 6:
        core.fail("double(3)", "6", repr(got), "the factor.")
    core.passed("double", "one number")


def own_double(x):
    return x + x


EXERCISES = {"double": (check_double, own_double)}


def test_a_right_function_is_given_back_and_said_to_be_right(capsys):
    def double(x):
        return 2 * x

    assert core.use(double, EXERCISES) is double
    assert capsys.readouterr().out == "✓ double: one number\n"


def test_the_page_goes_on_with_the_packages_own_until_it_is_written(capsys):
    def double(x):
        raise NotImplementedError("write double")

    assert core.use(double, EXERCISES) is own_double
    assert capsys.readouterr().out == (
        "○ double: not written yet. Until it is, the page goes on with the package's own.\n"
    )


def test_a_wrong_function_is_never_replaced():
    def double(x):
        return 3 * x

    assert message(core.use, double, EXERCISES) == "double(3): expected 6, got 9.\nLook at: the factor."


def test_a_function_that_is_broken_is_not_taken_for_one_that_is_not_written():
    def double(x):
        return undefined  # noqa: F821

    assert "stopped with NameError" in message(core.use, double, EXERCISES)


def test_the_name_of_no_exercise_is_refused():
    with pytest.raises(ValueError, match="no exercise is named 'own_double'; there are double"):
        core.use(own_double, EXERCISES)
