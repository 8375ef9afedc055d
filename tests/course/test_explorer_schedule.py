"""The schedule explorer: in a real browser, its rates against utils.training.schedules, manners."""

import pytest

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.schedule_explorer import COUNTINGS, GAMMA, RATES, SCHEDULES, schedule_explorer
from utils.training import schedules

EPOCHS, BATCHES = 12, 30
SMALL = {"lr": 0.02, "epochs": EPOCHS, "batches": BATCHES, "warmup": 2, "hold": 3, "period": 4, "floor": 5}


def open_host(show, **options):
    return show(schedule_explorer(**options)).locator(".cnnlab-explorer")


def move(host, name, place):
    """Put a slider at a place, counted from its left end."""
    host.get_by_role("slider", name=name, exact=True).evaluate(
        "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }", place
    )


def library(kind, unit, *, epochs=EPOCHS, warmup=2, hold=3, period=4, floor=0.05):
    """The schedule of the library whose lengths are in epochs times ``unit``."""
    warmup, hold, period, total = (unit * length for length in (warmup, hold, period, epochs))
    made = {
        "constant": lambda: schedules.constant(),
        "step": lambda: schedules.step(period, GAMMA),
        "cosine": lambda: schedules.cosine(total, floor),
        "cosine_restarts": lambda: schedules.cosine_restarts(period, floor=floor),
        "warmup_cosine": lambda: schedules.warmup_cosine(warmup, total, floor),
        "warmup_hold_cosine": lambda: schedules.warmup_hold_cosine(warmup, hold, total, floor),
        "triangular2": lambda: schedules.triangular2(period, floor),
    }
    return made[kind]()


def rates(kind, counting, lr=0.02, batches=BATCHES, epochs=EPOCHS, **options):
    """The learning rate of every batch, by the library."""
    schedule = library(kind, batches if counting == "batch" else 1, epochs=epochs, **options)
    return [lr * schedule(t // batches if counting == "epoch" else t) for t in range(epochs * batches)]


def agrees(host, expected):
    assert read(host, "steps") == len(expected)
    assert read(host, "rates") == pytest.approx(
        [expected[t] for t in read(host, "places")], rel=1e-9, abs=1e-15
    )
    assert read(host, "total") == pytest.approx(sum(expected), rel=1e-9)


# ---- Python


def test_data_and_defaults():
    data = schedule_explorer().data
    start = data["start"]
    assert (
        data["kinds"][start["kind"]]["name"] == "step"
        and data["countings"][start["counting"]]["name"] == "slip"
    )
    assert data["rates"][start["rate"]] == 1e-3 and (start["epochs"], start["batches"], start["period"]) == (
        32,
        500,
        10,
    )
    assert all(hasattr(schedules, name) for name in SCHEDULES)
    assert list(RATES) == sorted(RATES) and RATES[0] == 1e-4 and RATES[-1] == 1 and 3e-3 in RATES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "linear"}, "kind must be one of constant, .* got 'linear'"),
        ({"counting": "never"}, "counting .* got 'never'"),
        ({"lr": 0.0123}, "lr .* got 0.0123"),
        ({"epochs": 1}, "epochs must be a whole number from 2 to 100, got 1"),
        ({"batches": 501}, "batches .* got 501"),
        ({"warmup": -1}, "warmup .* got -1"),
        ({"hold": 31}, "hold .* got 31"),
        ({"period": 0}, "period .* got 0"),
        ({"period": 2.5}, "period .* got 2.5"),
        ({"floor": 51}, "floor .* got 51"),
        ({"epochs": True}, "epochs .* got True"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        schedule_explorer(**options)


# ---- in the browser


@browser_test
def test_every_schedule_is_that_of_the_library_however_it_is_stepped(show):
    host = open_host(show, **SMALL)
    for place, kind in enumerate(SCHEDULES):
        host.get_by_role("combobox", name="Schedule", exact=True).select_option(index=place)
        for row, counting in enumerate(COUNTINGS):
            host.get_by_label("The scheduler steps").select_option(index=row)
            assert (host.get_attribute("data-kind"), host.get_attribute("data-counting")) == (kind, counting)
            agrees(host, rates(kind, counting))


@browser_test
def test_the_slip_of_the_report_adds_up_to_eleven_batches(show):
    host = open_host(show)
    agrees(host, rates("step", "slip", lr=1e-3, batches=500, epochs=32, period=10))
    assert read(host, "total") == pytest.approx(1e-3 * 100 / 9) and read(host, "spent") == 20
    assert (
        host.get_by_text("as much as 11.1 of the").is_visible()
        and host.get_by_text("Meant was a total of").is_visible()
    )
    host.get_by_label("The scheduler steps").select_option(index=0)
    assert (
        read(host, "total") == pytest.approx(1e-3 * 500 * (10 * 1.11 + 2 * 1e-3))
        and not host.get_by_text("Meant was").is_visible()
    )


@browser_test
def test_sliders_and_fields_set_the_lengths(show):
    host = open_host(show, **{**SMALL, "kind": "warmup_hold_cosine", "counting": "epoch"})
    for name, place in (
        ("Warm-up, epochs", 4),
        ("Hold, epochs", 1),
        ("Lowest rate, % of the base", 20),
        ("Base learning rate", 20),
    ):
        move(host, name, place)
    agrees(host, rates("warmup_hold_cosine", "epoch", lr=1.0, warmup=4, hold=1, floor=0.2))
    host.get_by_label("Epochs", exact=True).fill("20")
    host.get_by_label("Batches per epoch").fill("7")
    agrees(
        host, rates("warmup_hold_cosine", "epoch", lr=1.0, batches=7, epochs=20, warmup=4, hold=1, floor=0.2)
    )
    host.get_by_role("combobox", name="Schedule", exact=True).select_option(
        index=list(SCHEDULES).index("triangular2")
    )
    move(host, "Period, epochs", 2)
    agrees(host, rates("triangular2", "epoch", lr=1.0, batches=7, epochs=20, period=3, floor=0.2))
    assert not host.get_by_label("Warm-up, epochs").is_visible()


@browser_test
def test_a_training_too_short_for_its_warm_up_cuts_it(show):
    host = open_host(
        show,
        **{**SMALL, "kind": "warmup_hold_cosine", "counting": "batch", "epochs": 3, "warmup": 9, "hold": 9},
    )
    assert read(host, "lengths") == {"warmup": 2, "hold": 0, "period": 4, "total": 3}
    agrees(host, rates("warmup_hold_cosine", "batch", epochs=3, warmup=2, hold=0))


@browser_test
def test_the_axes_change_nothing_but_the_picture(show):
    host = open_host(show, **SMALL)
    before = read(host, "rates")
    host.get_by_label("Logarithmic axis").check()
    host.get_by_label("Only the first 100 batches").check()
    assert read(host, "rates") == before and "over 100 batches" in host.get_by_role("img").get_attribute(
        "aria-label"
    )


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"step": schedule_explorer, "cyclic": lambda: schedule_explorer("triangular2", "batch")},
    extreme={
        kind: lambda kind=kind: schedule_explorer(kind, lr=7e-4, epochs=100)
        for kind in ("warmup_cosine", "warmup_hold_cosine")
    },
    steps=lambda host, _: host.get_by_label("Logarithmic axis").check(),
)
