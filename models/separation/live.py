"""Drives a `SeparatorStream` against the clock: who computes, until when it is worth it, and what happens else.

Offline the model answers every window. Live a window has a deadline; one that cannot be met is answered with the
aligned dry sound, and the next is tried. Where that happens often, the stream steps down a ladder of cheaper rungs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from audio_pipeline.models.separation.deadlines import Deadlines, Limits
from audio_pipeline.models.separation.grid import ladder_rungs, trial_rung
from audio_pipeline.models.separation.ladder import Ladder, LadderSettings
from audio_pipeline.models.separation.responses import Responses
from audio_pipeline.models.separation.stream import SeparatorStream
from audio_pipeline.models.separation.tuning import Tuning
from audio_pipeline.models.separation.types import Array, Described, Model, SeparatorSettings, Window
from audio_pipeline.models.separation.workers import Inline, Worker

PATIENCE_S = 0.05
HOLD_NS = 600_000_000  # longest wait of a first block for those behind it
NS = 1_000_000_000


class Block(NamedTuple):
    """The samples of every output from `start` on; `dry` where the model was too late for them."""

    start: int
    sound: Mapping[str, Array]
    dry: bool


class Driver:
    """A stream, its worker, and `Deadlines` where there are `limits`.

    The first block of a start waits until the stream has caught up with the burst that a song begins with: what
    follows then has all the time that was promised, in the moment when the machine is at its busiest.
    With a `ladder`, `steps` counts how often it was changed over. `responses` are noted on the stated rung alone.
    """

    def __init__(
        self, stream: SeparatorStream, worker: Worker, limits: Limits | None = None, ladder: Ladder | None = None
    ) -> None:
        self.stream, self.worker, self.ladder = stream, worker, ladder
        self.responses: Responses | None = None
        self._limits, self._deadlines = limits, Deadlines(stream.spec.rate, limits)
        self.steps = 0
        self._proven = ladder.at if ladder else 0  # the rung of the last answer
        if ladder:
            stream.take_rung(ladder.rung)
        self.missed = 0  # in all
        self._probed: Window | None = None
        self._starting = limits is not None
        self._forget()

    def _forget(self) -> None:
        self._deadlines.reset()
        self._held: list[Block] = []  # of a start
        self._held_until_ns = 0
        if self.responses:
            self.responses.begin_anew()

    def reset(self) -> None:
        """A new stream from sample 0 on."""
        self.stream.reset()
        self.worker.reset()
        self._forget()
        if self.ladder:
            self.ladder.reset()

    def push(self, x: Array, captured_ns: int = 0, *, replay: bool = False) -> None:
        """Takes sound (samples, channels), the newest sample of which was captured at `captured_ns`."""
        self.stream.push(x)
        self._deadlines.received(len(x), captured_ns, replay=replay)

    def step(self, now_ns: int) -> list[Block]:
        """Everything that can be put out now; starts on the next window if that can still be in time."""
        done = self._answered(now_ns)
        return self._caught_up(done, now_ns) if self._starting and not self._deadlines.replayed else done

    def _caught_up(self, done: Sequence[Block], now_ns: int) -> list[Block]:
        """Of a start: nothing, until no window waits any more or the first block has waited for too long."""
        if done and not self._held:
            self._held_until_ns = now_ns + HOLD_NS
        self._held += done
        if not self._held or (self.stream.pending() is not None and now_ns < self._held_until_ns):
            return []
        self._deadlines.begin(self._held[0].start, now_ns)
        return self._release()

    def _release(self) -> list[Block]:
        self._starting = False
        held, self._held = self._held, []
        return held

    def _answered(self, now_ns: int) -> list[Block]:
        done: list[Block] = []
        if self.ladder and not self.worker.available:  # what has been missed since the last answer was no lack of time
            dry = self.ladder.dry
            if self.ladder.forgive(self._proven):
                self._change_over(self.ladder, dry)
        while (window := self.stream.pending()) is not None:
            answer = self.worker.take(window)
            if answer is not None:
                left = self._deadlines.left(window.start, now_ns)
                self._note_response(window, now_ns)
                done.append(self._put(window, self.stream.accept(window, answer), False, now_ns))
                self._note(now_ns, took_s=self.worker.last_s, left=left)
                self._proven = self.ladder.at if self.ladder else 0
            elif self.ladder and self.ladder.dry:
                took_s = self._probe(self.ladder, window, now_ns)
                done.append(self._put(window, self.stream.skip(window), True, now_ns))
                self._note(now_ns, took_s=took_s)
            elif self._too_late(window, now_ns):
                done.append(self._put(window, self.stream.skip(window), True, now_ns))
                self._miss(window, now_ns)
            elif self.worker.idle:
                self.worker.submit(window, self._deadlines.due_ns(window.start))
            else:
                break
        return done

    def _probe(self, ladder: Ladder, window: Window, now_ns: int) -> float | None:
        """Has the model answer a window now and then, only to measure it; what the last one took, once."""
        took_s = None
        if self._probed is not None and self.worker.take(self._probed) is not None:
            took_s, self._probed = self.worker.last_s * self._share_of_new(self._probed), None
        if self.worker.idle and ladder.probe(now_ns):
            self.worker.submit(window)
            self._probed = window
        return took_s

    def _share_of_new(self, probed: Window) -> float:
        """The share of a probe's work that one window in a row has: a stateful model has every frame to catch up."""
        return self.stream.rung.hop / len(probed.frames) if self.stream.spec.stateful else 1.0

    def _miss(self, window: Window, now_ns: int) -> None:
        """What is replayed to a successor was missed by its predecessor."""
        if window.start >= self._deadlines.replayed:
            self.missed += 1
            if self.worker.available:
                if self.responses and self._limits and self._on_stated_rung:
                    self.responses.note_miss(now_ns, self._limits.allowed_s)
                self._note(now_ns, missed=True)

    @property
    def _on_stated_rung(self) -> bool:
        return self.ladder is None or self.ladder.step == 0

    def _note_response(self, window: Window, now_ns: int) -> None:
        if self.responses and self._on_stated_rung:
            response_s = self._deadlines.response_s(window.start, now_ns)
            if response_s is not None:
                self.responses.note(now_ns, response_s)

    def _note(
        self, now_ns: int, *, missed: bool = False, took_s: float | None = None, left: float | None = None
    ) -> None:
        """Notes what became of a window; a step of the ladder holds from the next window on."""
        if not self.ladder:
            return
        dry = self.ladder.dry
        if self.ladder.note(now_ns, missed=missed, took_s=took_s, left=left):
            self._change_over(self.ladder, dry)

    def _change_over(self, ladder: Ladder, dry: bool) -> None:
        self.stream.take_rung(ladder.rung)
        self.steps += 1
        self._probed = None
        if self.responses:
            self.responses.begin_anew()
        if dry:
            self.worker.reset()  # it was not shown every window

    def _put(self, window: Window, sound: Mapping[str, Array], dry: bool, now_ns: int) -> Block:
        if not self._deadlines.replayed and not self._starting:
            self._deadlines.begin(window.start, now_ns)
        return Block(window.start, sound, dry)

    def _too_late(self, window: Window, now_ns: int) -> bool:
        give_up = self._give_up_ns(window)
        return give_up is not None and now_ns >= give_up

    def deadline_ns(self) -> int | None:
        """When `step` must be called next, whatever the worker does."""
        if self._held:
            return self._held_until_ns
        window = self.stream.pending()
        return None if window is None else self._give_up_ns(window)

    def _give_up_ns(self, window: Window) -> int | None:
        """From when on it is not worth while to wait for a window, or to begin with it."""
        due = self._deadlines.due_ns(window.start)
        if due is None and not self.worker.available:
            due = self._deadlines.promised_ns(window.start)  # nobody is there to be waited for
        if due is None or self._limits is None:
            return None
        return due if self.worker.has(window) else due - self._limits.fastest_ns

    def finish(self, now_ns: Callable[[], int]) -> Iterator[Block]:
        """The stream has ended: the blocks that are still inside, as they come."""
        self.stream.flush()
        while self.stream.pending() is not None:
            yield from self.step(now_ns())
            self.worker.wait(PATIENCE_S)

    def abandon(self) -> Iterator[Block]:
        """The stream broke off: what is still inside, dry and at once."""
        yield from self._release()
        self.stream.flush()
        while (window := self.stream.pending()) is not None:
            yield Block(window.start, self.stream.skip(window), True)


def live_driver(
    model: Described,
    settings: SeparatorSettings,
    tuning: Tuning,
    spare_ns: int,
    worker: Worker,
    steps: LadderSettings | None = None,
    step: int = 0,
    *,
    trial: bool = False,
) -> Driver:
    """A driver that keeps what a tuned machine can promise; it begins `step` rungs down its ladder.

    With `trial` it may climb to twice the inferences of the tuned hop, at the same latency.
    """
    settings = replace(settings, hop=tuning.hop)
    stream = SeparatorStream(model, settings)
    spec = model.spec
    above = trial_rung(spec, settings) if trial else None
    compute_ns = round(tuning.compute_s * NS)
    latency_ns = stream.latency_samples * NS // spec.rate + compute_ns
    limits = Limits(latency_ns, spare_ns, round(tuning.fastest_s * NS), compute_ns)
    rungs = ladder_rungs(spec, settings)
    ladder = Ladder(rungs, spec.frame_s, steps, most_s=limits.allowed_s, step=step, trial=above)
    return Driver(stream, worker, limits, ladder)


def offline_driver(model: Model, settings: SeparatorSettings) -> Driver:
    """A driver that waits for every inference."""
    return Driver(SeparatorStream(model, settings), Inline(model))
