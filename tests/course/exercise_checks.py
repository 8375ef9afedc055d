"""What every exercise's check is held to, as three tests for the test file of each lab."""

from collections.abc import Callable
from types import ModuleType

import pytest

from utils.course.checks.core import CheckFailed


def proofs(
    check: ModuleType, right: dict[str, Callable], wrong: list[tuple[str, Callable, str]]
) -> tuple[Callable, ...]:
    """Tests that right answers pass and say so, that slips are named, that the stub counts as unwritten.

    ``right``: name of the exercise → a right answer. ``wrong``: name, a slip, and words of the message that
    it must get.
    """

    @pytest.mark.parametrize("name", right)
    def accepted(name, capsys):
        getattr(check, name)(right[name])
        assert capsys.readouterr().out.startswith(f"✓ {name}: ")

    @pytest.mark.parametrize(
        ("name", "slip", "message"), wrong, ids=[f"{name}: {message}" for name, _, message in wrong]
    )
    def named(name, slip, message):
        with pytest.raises(CheckFailed) as failure:
            getattr(check, name)(slip)
        assert message.lower() in str(failure.value).lower()

    @pytest.mark.parametrize("name", right)
    def unwritten(name):
        def stub(*_, **__):
            raise NotImplementedError

        with pytest.raises(CheckFailed, match="not written yet"):
            getattr(check, name)(stub)

    return accepted, named, unwritten


def goes_on_without(check: ModuleType, right: dict[str, Callable]) -> Callable:
    """A test that a page goes on with another way until an exercise is written, then with the student's."""

    @pytest.mark.parametrize("name", right)
    def goes_on(name, capsys):
        def stub(*_, **__):
            raise NotImplementedError

        stub.__name__ = name
        own = check.use(stub)
        assert capsys.readouterr().out.startswith(f"○ {name}: not written yet.")
        getattr(check, name)(own)
        assert check.use(right[name]) is right[name]

    return goes_on
