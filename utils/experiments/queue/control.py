"""The queue at work: it keeps a process on every core, from the first run that is due to the deadline."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from utils.experiments import unfinished
from utils.experiments.catalogue.order import Run
from utils.experiments.queue import processes, store
from utils.experiments.queue.estimates import Speed, group_of
from utils.experiments.queue.export import export
from utils.experiments.queue.forecast import Forecast
from utils.experiments.queue.plan import (
    Candidate,
    State,
    hours_left,
    is_resumable,
    next_of,
    record_of,
    states_of,
)
from utils.experiments.queue.processes import Job, Place
from utils.experiments.queue.resuming import code_of_begun
from utils.experiments.queue.speeds import is_at_hand
from utils.experiments.queue.status import counted, duration, line, shortened

LOOK_EVERY = 1.0  # seconds between two looks at the processes
LEARN_EVERY = 20.0  # at the checkpoints
DRAW_EVERY = 5.0  # the line on a screen
LOG_EVERY = 300.0  # lines of progress in the log, and where no terminal shows them
BUSY_FOR = 120.0  # seconds for which a run is left to the process that is at work on it
LONGEST_TIMING = 120.0  # with the decoding of data that are used for the first time, behind other work


@dataclass(frozen=True)
class Plan:
    """What a queue was asked to do.

    ``code`` is the export of ``commit``; ``seconds`` None: until nothing is due; ``across`` and ``front``: as
    the options.
    """

    runs: tuple[Run, ...]
    repository: Path
    code: Path
    commit: str
    results: Path
    device: str
    cores: tuple[int | None, ...]
    seconds: float | None
    across: bool = False
    front: bool = False


@dataclass
class Queue:
    """Processes on cores, and what has become of the runs."""

    plan: Plan
    forecast: Forecast
    jobs: dict[int, Job] = field(default_factory=dict)  # by number of the core in ``plan.cores``
    finished: int = 0
    failed: dict[Run, str] = field(default_factory=dict)
    stopped: list[Run] = field(default_factory=list)
    busy: dict[Run, float] = field(default_factory=dict)  # run -> when to look again
    untimed: set[str] = field(default_factory=set)  # groups whose timing failed
    began: float = field(default_factory=lambda: time.monotonic())
    learned: float = 0.0
    logged: float = 0.0
    drawn: float = 0.0  # when the line on the screen was drawn; 0 if there is none

    def work(self) -> int:
        """Run until nothing is left to start and all have ended; returns the exit status."""
        try:
            while True:
                self._reap()
                if self._is_over():
                    self._stop_at_deadline()
                else:
                    self._fill()
                if not self.jobs:
                    break
                self._show()
                time.sleep(LOOK_EVERY)
        finally:
            for job in self.jobs.values():
                job.stop()
            self._end_line()
        self._say(self._summary())
        return 1 if self.failed else 0

    # time

    def _left(self) -> float | None:
        if self.plan.seconds is None:
            return None
        return self.plan.seconds - (time.monotonic() - self.began)

    def _is_over(self) -> bool:
        left = self._left()
        return left is not None and left <= 0

    def _stop_at_deadline(self) -> None:
        """Let what runs come to its end or, with ``across``, stop it to go on another day; stop a timing."""
        for number, job in list(self.jobs.items()):
            if job.timing or (self.plan.across and is_resumable(job.run)):
                job.stop()
                del self.jobs[number]
                if not job.timing:
                    self.stopped.append(job.run)

    # processes

    def _reap(self) -> None:
        for number, job in list(self.jobs.items()):
            if job.timing and not job.is_over() and time.monotonic() - job.started > LONGEST_TIMING:
                job.stop()
            if not job.is_over():
                continue
            del self.jobs[number]
            self._tell()
            outcome = job.outcome()
            if job.timing:
                self._timed(job, outcome)
            elif outcome == "busy":
                self.busy[job.run] = time.monotonic() + BUSY_FOR
            elif outcome == "done" and record_of(job.run, self.plan.results).exists():
                self.finished += 1
                found = self.forecast.learn_from_record(job.run)
                diverged = " (it diverged, and is recorded as such)" if found["result"] is None else ""
                self._log(f"done: {job.run.title}{diverged}")
            else:
                reason = "it ended without a record" if outcome == "done" else outcome
                self.failed[job.run] = reason
                self._say(f"✗ {job.run.title} failed: {reason} (log: {job.log})")

    def _tell(self) -> None:
        store.tell(self.plan.results, [job.run.key for job in self.jobs.values() if not job.timing])

    def _timed(self, job: Job, outcome: str) -> None:
        told = job.printed() if outcome == "done" else None
        if told is None:
            self.untimed.add(group_of(job.run))
            self._log(f"the speed of {job.run.title} could not be measured: {outcome} (log: {job.log})")
            return
        self.forecast.learn(job.run, Speed.from_dict(told))

    def _fill(self) -> None:
        for number, core in enumerate(self.plan.cores):
            if number in self.jobs:
                continue
            job = self._next(Place(self.plan.device, core, self.plan.results, self.plan.front))
            if job is None:
                return
            self.jobs[number] = job
            self._tell()

    def _next(self, place: Place) -> Job | None:
        """A process for the next run: first one that measures how long it takes, if that is not known.

        While the speed of a run is being measured, no later run is started, but other speeds may be measured.
        """
        measuring = {group_of(job.run) for job in self.jobs.values() if job.timing}
        candidates, unmeasured, waiting = [], None, False
        for run in self._due():
            group = group_of(run)
            if group in measuring:
                waiting = True
            elif not self.forecast.is_measured(run) and group not in self.untimed:
                unmeasured = run
                break
            elif not waiting:
                candidates.append(Candidate(run, self.forecast.of(run), is_resumable(run)))
        if chosen := next_of(candidates, self._left(), self.plan.across):
            return self._start(chosen, place)
        return self._measure(unmeasured, place) if unmeasured else None

    def _measure(self, run: Run, place: Place) -> Job:
        """A process that measures the speed of a run's group, on whichever core is idle."""
        anywhere = replace(place, core=None)
        log = unfinished.store(self.plan.results) / f"timing-{place.core}.log"
        return processes.start("timing", run, self.plan.code, anywhere, log)

    def _due(self) -> list[Run]:
        """What could be started now, in order."""
        taken = {job.run for job in self.jobs.values()} | set(self.failed) | set(self.stopped)
        now = time.monotonic()
        states = states_of(self.plan.runs, self.plan.results, is_at_hand)
        return [
            run for run, state in states.items()
            if state is State.DUE and run not in taken and self.busy.get(run, 0.0) <= now
        ]  # fmt: skip

    def _start(self, run: Run, place: Place) -> Job:
        log = unfinished.file_of(record_of(run, self.plan.results), ".log")
        self._log(f"started: {run.title} (log: {log})")
        return processes.start("worker", run, self._code_for(run), place, log)

    def _code_for(self, run: Run) -> Path:
        """The code that the run began with, if it can be had; else the present code, from the beginning."""
        record = record_of(run, self.plan.results)
        if not unfinished.is_begun(record):
            return self.plan.code
        plan, origin = self.plan, unfinished.origin_of(record)
        code, why = code_of_begun(
            origin, run, plan.commit, plan.code, lambda began: export(plan.repository, began)
        )
        if code is None:
            self._say(f"{run.title} is begun again: {why}")
            unfinished.forget(record)
            return self.plan.code
        return code

    # words

    def _show(self) -> None:
        now = time.monotonic()
        if now - self.learned > LEARN_EVERY:
            self.learned = now
            for job in self.jobs.values():
                if not job.timing:
                    self.forecast.learn_from_checkpoint(job.run)
        screen = sys.stdout.isatty()
        if screen and (now - self.drawn > DRAW_EVERY or not self.drawn):
            self.drawn = now
            print(
                "\r\x1b[K" + shortened(self._line(), shutil.get_terminal_size().columns), end="", flush=True
            )
        if now - self.logged > LOG_EVERY or not self.logged:
            self.logged = now
            self._log(self._line())
            if not screen:
                print(self._line(), flush=True)

    def _line(self) -> str:
        active = [self.forecast.active(job.run, job.timing) for job in self.jobs.values()]
        states = states_of(self.plan.runs, self.plan.results, is_at_hand)
        at_work = {job.run for job in self.jobs.values() if not job.timing}
        due = [
            run
            for run, state in states.items()
            if state is State.DUE and run not in at_work and run not in self.failed
        ]
        estimates = [*(one.estimate for one in active if not one.measuring), *map(self.forecast.of, due)]
        left = hours_left(estimates, len(self.plan.cores))
        return line(active, self.finished, len(due), len(self.failed), left)

    def _summary(self) -> str:
        parts = [f"{counted(self.finished)} recorded"]
        if self.stopped:
            parts.append(f"{len(self.stopped)} stopped at the deadline, to go on another day")
        if due := self._due():
            shortest = min((one.seconds for one in map(self.forecast.of, due) if one), default=None)
            fits = (
                f" (the shortest takes about {duration(shortest)})"
                if shortest and not self._is_over()
                else ""
            )
            parts.append(f"{len(due)} still due{fits}")
        if self.busy:
            parts.append(f"{len(self.busy)} left to another process")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        return "the queue has ended: " + ", ".join(parts)

    def _say(self, text: str) -> None:
        self._end_line()
        print(text, flush=True)
        self._log(text)

    def _end_line(self) -> None:
        if self.drawn:
            print("\r\x1b[K", end="", flush=True)
            self.drawn = 0.0

    def _log(self, text: str) -> None:
        with open(store.log_of(self.plan.results), "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")
