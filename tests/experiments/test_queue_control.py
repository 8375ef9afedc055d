"""The queue with a clock and processes of the test: deadlines, failures, measurements, interrupted runs."""

from types import SimpleNamespace

import pytest

from utils.experiments import records, unfinished
from utils.experiments.catalogue.order import Entry, runs_of
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.queue import control, processes, store
from utils.experiments.queue.control import Plan, Queue
from utils.experiments.queue.estimates import Estimate, Images, Speed, Stage
from utils.experiments.queue.plan import record_of
from utils.experiments.queue.resuming import code_of_begun
from utils.experiments.queue.status import Active
from utils.experiments.unfinished import Origin, definition_of

BUDGETS = dict.fromkeys(("smoke", "quick", "full"), Budget(epochs=20, seeds=(0,)))
PROBED = {"probes": {"gradient": {}}}
SPEED = Speed((Stage(1.0, 1.0, 1.0),), Images(1, 1, 1), 1)


def runs(*labels, **settings):
    """One run for each label; networks of their own, so that each is measured by itself."""
    configurations = tuple(Configuration(label, label, "digits", **settings) for label in labels)
    return runs_of((Entry("e", 1, "why"),), {"e": Experiment("e", "?", "this test", configurations, BUDGETS)})


class Clock:
    """Time that passes only when the queue sleeps."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class FakeJob:
    """A process that takes ``seconds`` and then has the outcome it was given."""

    def __init__(self, world, run, timing, place, code):
        self.world, self.run, self.timing, self.place, self.code = world, run, timing, place, code
        self.started, self.log, self.stopped = world.clock.now, world.folder / "log", False
        self.seconds, self.end = (
            (3.0, "done") if timing else world.fates.get(run.configuration.label, (100.0, "done"))
        )

    def is_over(self):
        return self.stopped or self.world.clock.now - self.started >= self.seconds

    def outcome(self):
        if self.end == "done" and not self.timing:
            path = record_of(self.run, self.world.results)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return self.end

    def stop(self):
        self.stopped = True

    def printed(self):
        return SPEED.as_dict()


class FakeForecast:
    """Estimates that are there once the run was measured."""

    def __init__(self, world, seconds):
        self.world, self.seconds, self.learned = world, seconds, []

    def is_measured(self, run):
        return run in self.learned

    def of(self, run):
        return (
            Estimate(self.seconds.get(run.configuration.label, 100.0), 10.0) if run in self.learned else None
        )

    def active(self, run, measuring=False):
        return Active(run, 0, 20, self.of(run), measuring)

    def learn(self, run, speed):
        assert speed == SPEED
        self.learned.append(run)

    def learn_from_checkpoint(self, run):
        pass

    def learn_from_record(self, run):
        return {"result": {}}


@pytest.fixture
def world(own, tmp_path, monkeypatch):
    """What the queue works in; ``started`` lists its processes in order."""
    clock = Clock()
    made = SimpleNamespace(clock=clock, folder=tmp_path, results=tmp_path / "results", fates={}, started=[])

    def start(module, run, code, place, log):
        made.started.append(FakeJob(made, run, module == "timing", place, code))
        return made.started[-1]

    monkeypatch.setattr(control, "time", clock)
    monkeypatch.setattr(processes, "start", start)

    def work(chosen, seconds=None, cores=(0,), across=False, estimates=None, measured=True):
        plan = Plan(
            tuple(chosen), tmp_path, tmp_path / "code", "c" * 40, made.results, "cpu", cores, seconds, across
        )
        forecast = FakeForecast(made, estimates or {})
        if measured:
            forecast.learned += chosen
        made.queue = Queue(plan, forecast)
        with store.alone(made.results):
            return made.queue.work()

    made.work = work
    return made


def labels(world, timing=False):
    return [job.run.configuration.label for job in world.started if job.timing == timing]


def test_runs_are_done_in_order_each_on_a_core_of_its_own(world, capsys):
    world.fates = {"a": (50.0, "done")}
    assert world.work(runs("a", "b", "c"), cores=(4, 5)) == 0
    assert [(job.run.configuration.label, job.place.core) for job in world.started] == [
        ("a", 4),
        ("b", 5),
        ("c", 4),
    ]
    assert capsys.readouterr().out.splitlines()[-1] == "the queue has ended: 3 runs recorded"
    assert all(job.code == world.folder / "code" for job in world.started)


def test_no_run_is_started_that_would_not_end_in_time(world, capsys):
    assert world.work(runs("long", "short"), seconds=500.0, estimates={"long": 501.0}) == 0
    assert labels(world) == ["short"]
    assert "1 run recorded, 1 still due (the shortest takes about 8 min)" in capsys.readouterr().out


def test_what_runs_at_the_deadline_may_end(world):
    world.fates = {"a": (5000.0, "done")}
    assert world.work(runs("a", "b"), seconds=200.0) == 0
    assert labels(world) == ["a"] and world.queue.finished == 1


def test_across_stops_at_the_deadline_and_starts_nothing_more(world, capsys):
    world.fates = {"a": (5000.0, "done")}
    assert world.work(runs("a", "b"), seconds=200.0, across=True, estimates={"a": 5000.0}) == 0
    assert labels(world) == ["a"] and world.started[0].stopped and world.clock.now < 1210
    assert "1 stopped at the deadline, to go on another day, 1 still due" in capsys.readouterr().out


def test_across_lets_a_run_end_that_could_not_go_on(world):
    world.fates = {"a": (300.0, "done")}
    assert world.work(runs("a", fit_options=PROBED), seconds=200.0, across=True) == 0
    assert world.queue.finished == 1 and not world.started[0].stopped


def test_a_failure_is_told_and_not_tried_again_and_the_others_go_on(world, capsys):
    world.fates = {"a": (5.0, "ValueError: no such thing")}
    assert world.work(runs("a", "b")) == 1
    assert labels(world) == ["a", "b"]
    out = capsys.readouterr().out
    assert f"✗ e a seed 0 failed: ValueError: no such thing (log: {world.folder / 'log'})" in out
    assert out.splitlines()[-1] == "the queue has ended: 1 run recorded, 1 failed"


def test_a_run_of_another_process_is_left_to_it(world, capsys):
    world.fates = {"a": (5.0, "busy")}
    assert world.work(runs("a", "b")) == 0
    assert labels(world) == ["a", "b"] and "1 left to another process" in capsys.readouterr().out


def test_a_speed_is_measured_before_it_is_needed_on_any_core(world):
    world.work(runs("a", "b"), seconds=250.0, estimates={"b": 300.0}, measured=False)
    assert [(job.run.configuration.label, job.timing, job.place.core) for job in world.started] == [
        ("a", True, None), ("a", False, 0), ("b", True, None),
    ]  # fmt: skip


def test_while_a_speed_is_measured_no_later_run_comes_before(world):
    chosen = runs("a", "b")
    world.work(chosen, cores=(0, 1), measured=False)
    assert [(job.run.configuration.label, job.timing) for job in world.started] == [
        ("a", True), ("b", True), ("a", False), ("b", False),
    ]  # fmt: skip


def test_a_measurement_that_fails_stops_nothing(world, monkeypatch):
    monkeypatch.setattr(FakeJob, "printed", lambda self: None)
    assert world.work(runs("a"), measured=False) == 0
    assert labels(world) == ["a"]


def test_a_measurement_ends_at_the_deadline(world):
    world.work(runs("a"), seconds=2.0, measured=False)
    assert labels(world) == [] and world.started[0].stopped


def test_an_interrupted_queue_leaves_no_process(world, monkeypatch):
    monkeypatch.setattr(world.clock, "sleep", lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        world.work(runs("a", "b"), cores=(0, 1))
    assert [job.stopped for job in world.started] == [True, True]


def test_another_queue_can_see_what_is_at_work(world, monkeypatch):
    seen = []

    def look(seconds):
        seen.append((store.running(world.results), store.pid_of(world.results) is not None))
        world.clock.now += seconds

    monkeypatch.setattr(world.clock, "sleep", look)
    (run,) = runs("a")
    world.work([run])
    assert seen[0] == ([run.key], True)
    assert store.running(world.results) == [] and store.pid_of(world.results) is None


def test_a_second_queue_is_refused_in_one_sentence(own, tmp_path):
    import os

    with (
        store.alone(tmp_path),
        pytest.raises(
            store.AtWork, match=rf"^another queue is at work on these records \(process {os.getpid()}\)"
        ),
        store.alone(tmp_path),
    ):
        pass


def begun(run, results, *commits, definition=None):
    """The files of a run that was interrupted after it had begun with these commits."""
    path = record_of(run, results)
    for commit in commits:
        unfinished.begin(path, definition or definition_of(run.configuration, run.budget), commit, {})
        unfinished.checkpoint_of(path).touch()


def test_an_interrupted_run_whose_code_is_gone_is_begun_again(world, capsys):
    (run,) = runs("a")
    begun(run, world.results, "d" * 40)
    assert world.work([run]) == 0
    assert (
        "e a seed 0 is begun again: the repository does not have the code it began with (ddddddddd"
        in capsys.readouterr().out
    )
    assert not unfinished.is_begun(record_of(run, world.results))


def test_an_interrupted_run_of_the_present_code_goes_on(world, capsys):
    (run,) = runs("a")
    begun(run, world.results, "c" * 40)
    assert world.work([run]) == 0
    assert "again" not in capsys.readouterr().out and unfinished.is_begun(record_of(run, world.results))


def test_which_code_a_run_goes_on_with(tmp_path):
    (run,) = runs("a")
    present, definition = tmp_path / "present", definition_of(run.configuration, run.budget)
    old, older = tmp_path / "old", tmp_path / "older"
    (old / "utils/experiments/queue").mkdir(parents=True)
    (old / "utils/experiments/queue/worker.py").touch()
    exports = {"old": old, "older": older}

    def code(origin):
        return code_of_begun(origin, run, "new", present, exports.get)

    assert code(Origin(definition, ("new",))) == (present, "")
    assert code(Origin(definition, ("new", "old"))) == (old, "")
    for origin, why in {
        None: "nothing tells which code it began with",
        Origin(definition): "nothing tells which code it began with",
        Origin("another", ("new",)): "the catalogue now asks for something else",
        Origin(definition, ("old+",)): "the repository does not have the code it began with (old+)",
        Origin(definition, ("older",)): "the code it began with (older) is older than the queue",
    }.items():
        assert code(origin) == (None, why)


def test_what_defines_a_run_is_its_configuration_and_its_size():
    (run,) = runs("a")
    (other,) = runs("a", fit_options={"lr": 0.1})
    longer, more_seeds = Budget(epochs=21, seeds=(0,)), Budget(epochs=20, seeds=(0, 1))
    mine = definition_of(run.configuration, run.budget)
    assert mine == definition_of(run.configuration, more_seeds)
    assert (
        len({mine, definition_of(other.configuration, run.budget), definition_of(run.configuration, longer)})
        == 3
    )


def test_an_origin_gathers_commits_and_machines_until_the_record_is_there(own, tmp_path):
    path = records.path_of("e", "a", 0, "full", tmp_path / "results")
    one, other = {"processor": "one"}, {"processor": "other"}
    assert unfinished.begin(path, "d", "first", one) == Origin("d", ("first",), (one,))
    assert unfinished.begin(path, "d", "second", one) == Origin("d", ("second",), (one,)), "no epoch was done"
    unfinished.checkpoint_of(path).touch()
    assert unfinished.begin(path, "d", "second", other) == Origin("d", ("second",), (one, other))
    assert unfinished.begin(path, "d", "third", one).commits == ("second", "third")
    left = [
        unfinished.file_of(path, end) for end in (".checkpoint.partial", ".pretraining", ".origin.7.part")
    ]
    for file in left:
        file.touch()
    unfinished.file_of(path, ".log").touch()
    unfinished.forget(path)
    assert [file.name for file in unfinished.checkpoint_of(path).parent.iterdir()] == ["a-seed0-full.log"]
