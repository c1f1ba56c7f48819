"""A worker whose model runs in a process of the host, for the streams of all pipelines there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zmq

from audio_pipeline import threads
from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.links.waker import Waker
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.types import Window
from audio_pipeline.serving.model_messages import Answer, Failed, Frames, Joined, Lost, Message, Reset
from audio_pipeline.serving.model_session import HostLostError, Session, Wish, model_key
from audio_pipeline.serving.service import Access, Service
from audio_pipeline.serving.spectrum import Array, Sent, dtype_of, kept_frames
from audio_pipeline.serving.start import end_hung, find_or_start

MODULE = "audio_pipeline.serving.model_host"
AGAIN_S = 0.5  # after the host was lost, or refused a place
OUTBOX = 8  # messages that wait for the thread that sends them

Find = Callable[[Callable[[], bool]], Access]


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
        self._spec, self._wish, self._wake = spec, wish, wake
        self.notes: deque[str] = deque(maxlen=OUTBOX)  # lines for the log
        self._service = Service("model", model_key(task))
        self._find = find or (lambda stopped: find_or_start(self._service, MODULE, task, stopped))
        self._waker, self._stop, self._up = Waker(), threading.Event(), threading.Event()
        self._changed = threading.Condition()
        self._outbox: deque[tuple[int, Message, bytes]] = deque(maxlen=OUTBOX)
        self._session = 0  # how often it has joined
        self._joined: Joined | None = None
        self._hop = wish.hop  # the stream is cut for it
        self._error: PipelineError | None = None
        self._asked: Asked | None = None
        self._sent, self._sent_session, self._sequence = self._nothing_sent(), 0, 0
        self._not_before_s = 0.0
        self.lost = 0  # hosts that were there and went
        self._thread = threads.start(self._run, "served-model")
        self.place = self._first_place()

    def _first_place(self) -> Joined:
        self._up.wait()
        if self._joined is None:
            self.close()
            raise self._error or NodeError("the host's model was lost before there was a place")
        return self._joined

    # -- the worker, in the node's thread -------------------------------------------------------------

    @property
    def available(self) -> bool:
        """False while there is no host: a window that is missed then says nothing of this machine's load."""
        return self._joined is not None

    @property
    def last_s(self) -> float:
        """From asking to the answer: what it waited for others is part of it."""
        asked = self._asked
        return 0.0 if asked is None or asked.answered_s is None else asked.answered_s - asked.asked_s

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        joined, session = self._joined, self._session
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
        self._post(session, frames, payload)

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
        return asked.answered_s is None and self._joined is not None and asked.session == self._session

    @property
    def idle(self) -> bool:
        """Whether a window can be submitted."""
        asked = self._asked
        rests = self._joined is None or time.monotonic() < self._not_before_s
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
        if self._joined is not None:
            self._post(self._session, Reset(self._joined.place))

    def close(self) -> None:
        """Gives the place back."""
        self._stop.set()
        self._waker.wake()
        self._thread.join()
        self._waker.close()

    def _nothing_sent(self) -> Sent:
        return Sent(kept_frames(self._spec))

    def _post(self, session: int, message: Message, payload: bytes = b"") -> None:
        self._outbox.append((session, message, payload))
        self._waker.wake()

    # -- the thread that keeps the place --------------------------------------------------------------

    def _run(self) -> None:
        context: zmq.Context[Any] = zmq.Context()
        try:
            while not self._stop.is_set():
                self._be_served(context)
                self._stop.wait(AGAIN_S)
        finally:
            context.destroy(linger=200)
            self._up.set()

    def _be_served(self, context: zmq.Context[Any]) -> None:
        """From joining until the host is lost."""
        try:
            session = Session(context, self._find(self._stop.is_set), self._waker, self._most_bytes())
            try:
                self._join(session)
                while not self._stop.is_set():
                    self._forward(session)
                    for message, payload in session.turn():
                        self._on_message(message, payload)
            finally:
                session.close()
        except HostLostError as error:
            self._on_lost(str(error), hangs=error.hangs)
        except PipelineError as error:
            self._on_refusal(error)

    def _join(self, session: Session) -> None:
        """A place with the hop of the first: the stream is cut for it."""
        first = self._session == 0
        wish = self._wish if first else replace(self._wish, hop=self._hop)
        joined = session.join(wish, self._stop.is_set)
        self._outbox.clear()
        self._session += 1
        self._joined, self._hop = joined, joined.hop
        if first:
            self._up.set()
        else:
            self.notes.append("the host's model is back")
        self._wake()

    def _forward(self, session: Session) -> None:
        while self._outbox:
            number, message, payload = self._outbox.popleft()
            if number == self._session:
                session.send(message, payload)

    def _on_message(self, message: Message, payload: bytes) -> None:
        asked = self._asked
        if isinstance(message, Lost):
            raise HostLostError("the place was given to another stream")
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

    def _most_bytes(self) -> int:
        frame = self._spec.bins * self._spec.channels * dtype_of(self._spec).itemsize
        return len(self._spec.stems) * kept_frames(self._spec) * frame

    def _on_lost(self, reason: str, *, hangs: bool = False) -> None:
        was_there, self._joined = self._joined is not None, None
        if hangs:
            end_hung(self._service)
        if was_there:
            self.lost += 1
            self.notes.append(f"the host's model is gone ({reason}); the dry sound is heard until it is back")
        with self._changed:
            self._changed.notify_all()
        self._wake()

    def _on_refusal(self, error: PipelineError) -> None:
        """Before the first place it is the node's error; later it is tried again."""
        if self._session == 0 and not self._stop.is_set():
            self._error = error if isinstance(error, NodeError) else NodeError(str(error))
            self._stop.set()
            self._up.set()
