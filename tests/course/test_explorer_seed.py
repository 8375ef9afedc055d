"""The seed explorer: in a real browser, its intervals against those of the claims, chance, manners."""

import statistics

import pytest
from scipy.stats import t as student_t

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.seed_explorer import critical_values, seed_explorer
from utils.experiments.differences import difference


def open_host(show, **options):
    return show(seed_explorer(**options)).locator(".cnnlab-explorer")


def move(host, name, place):
    """Put a slider at a place, counted from its left end."""
    host.get_by_role("slider", name=name).evaluate(
        "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }", place
    )


def agrees(host):
    """The interval of the page is Welch's, and the verdict follows from it."""
    a, b, found = (read(host, name) for name in ("a", "b", "found"))
    low, high = difference(b, a).interval
    assert found["difference"] == pytest.approx(statistics.fmean(b) - statistics.fmean(a))
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-3)
    assert found["verdict"] == ("better" if low > 0 else "worse" if high < 0 else "undecided")
    return found["verdict"]


# ---- Python


def test_data_and_defaults():
    data = seed_explorer(0.72, 1.55, 4).data
    assert (data["difference"], data["sd"], data["seeds"]) == (0.7, 1.6, 4)


def test_interpolated_critical_values_are_students():
    table = critical_values()
    assert table[0] == pytest.approx(1.959964) and table[-1] == pytest.approx(12.7062, rel=1e-5)
    for freedom in (1.01, 1.5, 1.93, 2.7, 4.0, 11.3, 37.9):
        place = 100 / freedom
        i = int(place)
        between = table[i] ** (i + 1 - place) * table[min(i + 1, 100)] ** (place - i)
        assert between == pytest.approx(student_t.ppf(0.975, freedom), rel=5e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difference": -0.1}, "difference must be from 0 to 5 points, got -0.1"),
        ({"difference": float("nan")}, "got nan"),
        ({"sd": 5.1}, "sd .* got 5.1"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 20, got 0"),
        ({"seeds": 2.0}, "seeds .* got 2.0"),
        ({"seed": 0}, "seed .* got 0"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        seed_explorer(**options)


# ---- in the browser


@browser_test
def test_intervals_are_welchs_for_every_number_of_seeds(show):
    host = open_host(show, difference=3.0, sd=1.0)
    verdicts = set()
    for seeds in (2, 3, 5, 20):
        move(host, "Seeds of each", seeds - 1)
        assert len(read(host, "a")) == len(read(host, "b")) == seeds
        for _ in range(4):
            host.get_by_role("button", name="Draw new seeds").click()
            verdicts.add(agrees(host))
    assert {"better", "undecided"} <= verdicts


@browser_test
def test_one_run_of_each_gives_no_verdict(show):
    host = open_host(show, seeds=1)
    found = read(host, "found")
    assert (
        found["verdict"] == "none"
        and found["low"] is None
        and found["difference"] == pytest.approx(read(host, "b")[0] - read(host, "a")[0])
    )
    host.get_by_role("button", name="Draw 1000 times").click()
    tally = read(host, "tally")
    # the sign of a normal number with mean 1 and standard deviation 1.8·√2
    assert tally["none"] == 1000 and tally["higher"] / 1000 == pytest.approx(0.653, abs=0.05)


@browser_test
def test_without_a_difference_one_draw_in_twenty_finds_one(show):
    host = open_host(show, difference=0, sd=2, seeds=6)
    host.get_by_role("button", name="Draw 1000 times").click()
    tally = read(host, "tally")
    assert tally["better"] + tally["worse"] + tally["undecided"] == tally["draws"] == 1000
    assert 0.03 < (tally["better"] + tally["worse"]) / 1000 < 0.07
    move(host, "True difference", 10)
    assert read(host, "tally") is None and read(host, "difference") == 1


@browser_test
def test_sliders_move_the_same_draw_and_a_button_makes_a_new_one(show):
    host = open_host(show, difference=0, sd=1, seeds=4)
    a, b = read(host, "a"), read(host, "b")
    move(host, "True difference", 20)
    move(host, "Standard deviation", 30)
    assert read(host, "a") == pytest.approx([90 + 3 * (value - 90) for value in a])
    assert read(host, "b") == pytest.approx([92 + 3 * (value - 90) for value in b])
    host.get_by_role("button", name="Draw new seeds").click()
    assert read(host, "a") != pytest.approx(a)
    move(host, "Standard deviation", 0)
    assert read(host, "found") == {"difference": 2, "low": 2, "high": 2, "verdict": "better"}


@browser_test
def test_the_first_draw_follows_from_the_seed(show):
    first, same, other = (read(open_host(show, seed=seed), "a") for seed in (3, 3, 4))
    assert first == same != other


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"three seeds": seed_explorer, "one seed": lambda: seed_explorer(seeds=1)},
    extreme={
        "far apart": lambda: seed_explorer(difference=5, sd=5, seeds=20),
        "no spread": lambda: seed_explorer(sd=0),
    },
)
