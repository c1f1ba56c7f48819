"""One model for many streams: places with a lease, and batches that wait no longer than it is worth.

A place holds one stream's state and its row in the batch. With `fixed` every batch has all rows, and a stream
keeps its row: whatever its neighbours do, join, leave or break, its samples stay the same to the last bit. A
single stream is a batch of one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from audio_pipeline import threads
from audio_pipeline.models.separation.batching_places import Place, Places
from audio_pipeline.models.separation.types import Array, Model, Window

NS = 1_000_000_000
PATIENCE = 4  # a batch may wait for the next stream for a frame divided by this
LEASE_S = 30.0  # a place that was not used for so long may be given to another stream


@dataclass(eq=False)
class Job:
    """A window that waits for its answer."""

    place: Place
    window: Window
    asked_ns: int
    due_ns: int | None = None
    answered_ns: int | None = None
    took_s: float = 0.0  # of its inference alone
    future: Future[Array] = field(default_factory=Future)

    @property
    def shape(self) -> tuple[int, range]:
        """Windows of one shape share an inference."""
        return len(self.window.frames), self.window.wanted


class Waits(NamedTuple):
    """What a batch may cost: how long it waits for others, and what an inference takes."""

    patience_ns: int
    step_ns: int


def time_to_wait(jobs: Sequence[Job], places: Iterable[Place], now_ns: int, waits: Waits) -> int | None:
    """Nanoseconds until the batch should start: 0 for at once, None while there is nothing to do.

    It waits for streams that are about to ask (by the rhythm in which they did), at most for `patience_ns` after
    the first asked, and never so long that the first deadline would be missed.
    """
    if not jobs:
        return None
    first = min(job.asked_ns for job in jobs)
    limit = first + waits.patience_ns
    dues = [job.due_ns - waits.step_ns for job in jobs if job.due_ns is not None]
    asked = {id(job.place) for job in jobs}
    soon = [
        place.expected_ns
        for place in places
        if id(place) not in asked
        and place.expected_ns is not None
        and first - waits.patience_ns <= place.expected_ns <= limit
    ]
    return max(0, min([limit, *dues]) - now_ns) if soon else 0


class Batcher:
    """Runs a model in a thread of its own, for up to `capacity` streams.

    Without `together` each window is an inference of its own, in the order in which they were asked for: on a CPU a
    batch saves nothing, and what a stream gets is then to the last bit what it would get alone.
    """

    def __init__(
        self,
        model: Model,
        capacity: int = 1,
        *,
        fixed: bool = True,
        together: bool = True,
        patience_ns: int | None = None,
        lease_s: float = LEASE_S,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.model, self.fixed, self._together, self._now_ns = model, fixed, together, now_ns
        self.places = Places(capacity, round(lease_s * NS))
        patience_ns = model.spec.frame_ns // PATIENCE if patience_ns is None else patience_ns
        self._waits = Waits(patience_ns if together else 0, 0)
        self._calls: list[tuple[Callable[[], None], Future[None]]] = []
        self._began_ns: int | None = None  # of the inference under way
        self._jobs: list[Job] = []
        self._news = threading.Condition()
        self._closed = False
        self._blank: dict[tuple[int, range], Window] = {}
        self.batches: dict[int, int] = {}  # how many there were, by streams in them
        self._thread = threads.start(self._run, "inference")

    def join(self, stream: str) -> Place:
        """A place for a stream. Raises NodeError where all are taken."""
        with self._news:
            return self.places.take(stream, self._now_ns())

    def leave(self, place: Place) -> None:
        """Gives a place back; what it waits for is dropped."""
        with self._news:
            self._drop(place)
            self.places.leave(place)

    def submit(
        self, place: Place, window: Window, due_ns: int | None = None, wake: Callable[[], None] | None = None
    ) -> Job:
        """Asks for an answer (stems, wanted, bins, channels); what the stream asked before and is not begun is dropped.

        `wake` is called from the batcher's thread once it is there. A stream whose place was given away begins
        anew in another. Raises NodeError where there is none.
        """
        now = self._now_ns()
        with self._news:
            self._drop(place)
            self.places.take_again(place, now)
            if place.asked_ns is not None:
                place.every_ns = now - place.asked_ns
            place.asked_ns = place.used_ns = now
            job = Job(place, window, now, due_ns)
            if wake:
                job.future.add_done_callback(lambda _: wake())
            self._jobs.append(job)
            self._news.notify()
        return job

    def call(self, work: Callable[[], None]) -> Future[None]:
        """Runs `work` in the batcher's thread, between two batches: the model belongs to one thread."""
        done: Future[None] = Future()
        with self._news:
            self._calls.append((work, done))
            self._news.notify()
        return done

    def is_stuck(self, seconds: float) -> bool:
        """Whether an inference has been under way for so long."""
        began = self._began_ns
        return began is not None and self._now_ns() - began > seconds * NS

    def begin_anew(self, place: Place) -> None:
        """The stream's next window is its first; what it waits for is dropped."""
        with self._news:
            self._drop(place)
            place.fresh, place.asked_ns, place.every_ns = True, None, None

    def _drop(self, place: Place) -> None:
        for job in [job for job in self._jobs if job.place is place]:
            self._jobs.remove(job)
            job.future.cancel()

    def close(self) -> None:
        """Ends the thread; what waits is dropped."""
        with self._news:
            self._closed = True
            for job in self._jobs:
                job.future.cancel()
            for _, done in self._calls:
                done.cancel()
            self._jobs.clear()
            self._calls.clear()
            self._news.notify()
        self._thread.join()

    def _run(self) -> None:
        while (jobs := self._gather()) is not None:
            self._make_calls()
            self._began_ns = began = self._now_ns()
            for shape in sorted({job.shape for job in jobs}, key=str):
                self.step([job for job in jobs if job.shape == shape])
            self._began_ns = None
            if jobs:
                self._waits = self._waits._replace(step_ns=self._now_ns() - began)

    def _make_calls(self) -> None:
        with self._news:
            calls, self._calls = self._calls, []
        for work, done in calls:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whoever asked for it decides what it means
                done.set_exception(error)
            else:
                done.set_result(None)

    def _gather(self) -> list[Job] | None:
        """The jobs of the next batch, once it is time, or none where there is a call to be made; None when closed."""
        with self._news:
            while not self._closed:
                wait_ns = time_to_wait(self._jobs, self.places, self._now_ns(), self._waits)
                if wait_ns == 0 or self._calls:
                    count = len(self._jobs) if self._together else 1
                    jobs, self._jobs = (self._jobs[:count], self._jobs[count:]) if wait_ns == 0 else ([], self._jobs)
                    return [job for job in jobs if job.future.set_running_or_notify_cancel()]
                self._news.wait(None if wait_ns is None else wait_ns / NS)
        return None

    def step(self, jobs: Sequence[Job]) -> None:
        """One inference for windows of one shape; an error is that of everybody in it, and of nobody else."""
        for job in jobs:
            if job.place.fresh:
                job.place.state, job.place.fresh = self.model.initial_state(), False
        rows = self._rows(jobs)
        windows = [self._blank_of(jobs[0].window) if job is None else job.window for job in rows]
        states = [self.model.initial_state() if job is None else job.place.state for job in rows]
        began_ns = self._now_ns()
        try:
            answers, after = self.model.step(windows, states)
        except Exception as error:  # noqa: BLE001 - whatever a library raises: the streams decide what it means
            for job in jobs:
                job.future.set_exception(error)
            return
        self.batches[len(jobs)] = self.batches.get(len(jobs), 0) + 1
        for row, answered in enumerate(rows):
            if answered is not None:
                answered.place.state, answered.answered_ns = after[row], self._now_ns()
                answered.took_s = (answered.answered_ns - began_ns) / NS
                answered.future.set_result(answers[row])

    def _rows(self, jobs: Sequence[Job]) -> list[Job | None]:
        """Who is in which row of the batch."""
        if not self.fixed:
            return [*sorted(jobs, key=lambda job: job.place.row)]
        rows: list[Job | None] = [None] * self.places.capacity
        for job in jobs:
            rows[job.place.row] = job
        return rows

    def _blank_of(self, like: Window) -> Window:
        """Silence for a row that nobody has."""
        shape = len(like.frames), like.wanted
        if shape not in self._blank:
            nothing = np.zeros_like(like.frames)
            nothing.flags.writeable = False
            self._blank[shape] = Window(0, nothing, 0, like.wanted, 0, 0, 0)
        return self._blank[shape]
