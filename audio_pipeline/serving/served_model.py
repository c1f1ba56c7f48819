"""A worker whose model runs in a process of the host, for the streams of all pipelines there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.types import Window
from audio_pipeline.serving.model_messages import Answer, Failed, Frames, Joined, Message, Reset
from audio_pipeline.serving.model_session import HostLostError, Wish, model_key
from audio_pipeline.serving.place_keeper import Find, PlaceKeeper
from audio_pipeline.serving.service import Service
from audio_pipeline.serving.spectrum import Array, Sent, dtype_of, frame_bytes, kept_frames
from audio_pipeline.serving.start import end_hung, find_or_start

MODULE = "audio_pipeline.serving.model_host"


@dataclass(frozen=True)
class HostModel:
    """A model that runs elsewhere: what a stream has to know of it."""

    spec: ModelSpec


@dataclass
class Asked:
    """A window under way."""

    window: Window
    sequence: int
    session: int
    asked_s: float
    answered_s: float | None = None
    answer: Array | None = None


class ServedModel:
    """Has a place at the host's model: sends what is new of a window, and takes the answer.

    A thread keeps the place: a host that dies or hangs is replaced, joined again, and told the whole window; until
    then nothing can be submitted, and `available` is False. `wake` is called from that thread. Raises PipelineError
    where there is no place to begin with.
    """

    def __init__(
        self,
        spec: ModelSpec,
        task: Mapping[str, Any],
        wish: Wish,
        wake: Callable[[], None],
        find: Find | None = None,
    ) -> None:
        self._spec, self._wake = spec, wake
        self._changed = threading.Condition()
        self._asked: Asked | None = None
        self._sent, self._sent_session, self._sequence = self._nothing_sent(), 0, 0
        self._not_before_s = 0.0
        service = Service("model", model_key(task))
        self._keeper = PlaceKeeper(
            find or (lambda stopped: find_or_start(service, MODULE, task, stopped)),
            lambda: end_hung(service),
            wish,
            len(spec.stems) * kept_frames(spec) * frame_bytes(spec),
            self._on_message,
            self._on_change,
        )
        self.place: Joined = self._keeper.start()

    @property
    def notes(self) -> deque[str]:
        """Lines for the log."""
        return self._keeper.notes

    @property
    def lost(self) -> int:
        """Hosts that were there and went."""
        return self._keeper.lost

    # -- the worker, in the node's thread -------------------------------------------------------------

    @property
    def available(self) -> bool:
        """False while there is no host: a window that is missed then says nothing of this machine's load."""
        return self._keeper.joined is not None

    @property
    def last_s(self) -> float:
        """From asking to the answer: what it waited for others is part of it."""
        asked = self._asked
        return 0.0 if asked is None or asked.answered_s is None else asked.answered_s - asked.asked_s

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        joined, session = self._keeper.joined, self._keeper.session
        if joined is None:
            return
        if session != self._sent_session:
            self._sent, self._sent_session = self._nothing_sent(), session
        start, length = window.first_frame, len(window.frames)
        new = self._sent.missing(start, start + length)
        payload = np.ascontiguousarray(window.frames[new.start - start :]).tobytes() if len(new) else b""
        self._sequence += 1
        self._asked = Asked(window, self._sequence, session, time.monotonic())
        frames = Frames(joined.place, self._sequence, new.start, start, length, window.wanted.start, due_ns or 0)
        self._keeper.post(session, frames, payload)

    def take(self, window: Window) -> Array | None:
        """The answer for a window, once it is there."""
        return self._asked.answer if self._asked is not None and self.has(window) else None

    def has(self, window: Window) -> bool:
        """Whether this very window is under way, or answered."""
        asked = self._asked
        if asked is None or asked.window is not window:
            return False
        return asked.answer is not None or self._is_under_way(asked)

    def _is_under_way(self, asked: Asked) -> bool:
        return asked.answered_s is None and self._keeper.joined is not None and asked.session == self._keeper.session

    @property
    def idle(self) -> bool:
        """Whether a window can be submitted."""
        asked = self._asked
        rests = self._keeper.joined is None or time.monotonic() < self._not_before_s
        return not rests and (asked is None or not self._is_under_way(asked))

    def wait(self, timeout_s: float) -> None:
        """Until something is done."""
        with self._changed:
            if not self.idle:
                self._changed.wait(timeout_s)

    def reset(self) -> None:
        """A new stream: what is under way is wanted no more."""
        self._asked = None
        self._sent = self._nothing_sent()
        if self._keeper.joined is not None:
            self._keeper.post(self._keeper.session, Reset(self._keeper.joined.place))

    def close(self) -> None:
        """Gives the place back."""
        self._keeper.close()

    def _nothing_sent(self) -> Sent:
        return Sent(kept_frames(self._spec))

    # -- in the thread that keeps the place -----------------------------------------------------------

    def _on_change(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._wake()

    def _on_message(self, message: Message, payload: bytes) -> None:
        asked = self._asked
        if not isinstance(message, (Answer, Failed)) or asked is None or message.sequence != asked.sequence:
            return
        with self._changed:
            if isinstance(message, Answer):
                asked.answer = self._decoded(payload, asked.window)
            else:
                self._not_before_s = time.monotonic() + message.wait_s
                self._sent_session = 0  # the next window is sent whole
            asked.answered_s = time.monotonic()
            self._changed.notify_all()
        self._wake()

    def _decoded(self, payload: bytes, window: Window) -> Array:
        """The answer (stems, wanted, bins, channels). Raises HostLostError where it has another size."""
        spec, dtype = self._spec, dtype_of(self._spec)
        shape = (len(spec.stems), len(window.wanted), spec.bins, spec.channels)
        if len(payload) != int(np.prod(shape)) * dtype.itemsize:
            raise HostLostError(f"an answer of {len(payload)} bytes, expected {shape} of {dtype}")
        return np.frombuffer(payload, dtype).reshape(shape)
