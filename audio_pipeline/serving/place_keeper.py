"""A stream's place at a model of the host: a thread finds the host, joins, and does so again when it is gone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.links.waker import Waker
from audio_pipeline.serving.model_messages import Joined, Lost, Message
from audio_pipeline.serving.model_session import HostLostError, Session, Wish
from audio_pipeline.serving.service import Access

AGAIN_S = 0.5  # after the host was lost, or refused a place
OUTBOX = 8  # messages that wait for the thread that sends them

Find = Callable[[Callable[[], bool]], Access]


class PlaceKeeper:
    """A place, with the hop of the first one for as long as this lives: the stream is cut for it.

    `on_message` gets what the host sends, `on_change` is called when the place came or went; both from the thread.
    """

    def __init__(
        self,
        find: Find,
        end_hung: Callable[[], None],
        wish: Wish,
        most_bytes: int,
        on_message: Callable[[Message, bytes], None],
        on_change: Callable[[], None],
    ) -> None:
        self._find, self._end_hung, self._wish, self._most_bytes = find, end_hung, wish, most_bytes
        self._on_message, self._on_change = on_message, on_change
        self.notes: deque[str] = deque(maxlen=OUTBOX)  # lines for the log
        self.lost = 0  # hosts that were there and went
        self.session = 0  # how often it has joined
        self.joined: Joined | None = None
        self._error: PipelineError | None = None
        self._waker, self._stop, self._up = Waker(), threading.Event(), threading.Event()
        self._outbox: deque[tuple[int, Message, bytes]] = deque(maxlen=OUTBOX)
        self._thread: threading.Thread | None = None

    def start(self) -> Joined:
        """The first place. Raises PipelineError where there is none."""
        self._thread = threads.start(self._run, "served-model")
        self._up.wait()
        if self.joined is None:
            self.close()
            raise self._error or NodeError("the host's model was lost before there was a place")
        return self.joined

    def post(self, session: int, message: Message, payload: bytes = b"") -> None:
        """Sends to the host, unless it is another one by then."""
        self._outbox.append((session, message, payload))
        self._waker.wake()

    def close(self) -> None:
        """Gives the place back."""
        self._stop.set()
        self._waker.wake()
        if self._thread is not None:
            self._thread.join()
        self._waker.close()

    # -- the thread -----------------------------------------------------------------------------------

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
            session = Session(context, self._find(self._stop.is_set), self._waker, self._most_bytes)
            try:
                self._join(session)
                while not self._stop.is_set():
                    self._forward(session)
                    for message, payload in session.turn():
                        self._take(message, payload)
            finally:
                session.close()
        except HostLostError as error:
            self._on_lost(str(error), hangs=error.hangs)
        except PipelineError as error:
            self._on_refusal(error)

    def _join(self, session: Session) -> None:
        joined = session.join(self._wish, self._stop.is_set)
        self._wish = replace(self._wish, hop=joined.hop)
        self._outbox.clear()
        self.session += 1
        self.joined = joined
        if self.session == 1:
            self._up.set()
        else:
            self.notes.append("the host's model is back")
        self._on_change()

    def _forward(self, session: Session) -> None:
        while self._outbox:
            number, message, payload = self._outbox.popleft()
            if number == self.session:
                session.send(message, payload)

    def _take(self, message: Message, payload: bytes) -> None:
        if isinstance(message, Lost):
            raise HostLostError("the place was given to another stream")
        self._on_message(message, payload)

    def _on_lost(self, reason: str, *, hangs: bool) -> None:
        was_there, self.joined = self.joined is not None, None
        if hangs:
            self._end_hung()
        if was_there:
            self.lost += 1
            self.notes.append(f"the host's model is unavailable ({reason}); the dry sound plays until it is back")
        self._on_change()

    def _on_refusal(self, error: PipelineError) -> None:
        """Before the first place it is the node's error; later it is tried again."""
        if self.session == 0 and not self._stop.is_set():
            self._error = error if isinstance(error, NodeError) else NodeError(str(error))
            self._stop.set()
            self._up.set()
