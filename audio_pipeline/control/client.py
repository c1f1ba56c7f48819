"""The control protocol: one ROUTER at the supervisor, msgpack maps, a token, a revision.

Requests are `{v, token, id, op, ...}`, answers `{id, ok, result | error}`. Operations: `state`, `set`,
`transport`, `events`, `stop`. The nodes of the graph speak to the same socket with operations of their own.
See `docs/protocol.md`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from audio_pipeline.control.codec import MAX_BYTES, VERSION, decode, encode
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.host import runtime
from audio_pipeline.packed import UNPACKABLE

TIMEOUT_S = 5.0
EDIT_S = 150.0  # a new node may load for long
__all__ = ["MAX_BYTES", "VERSION", "Client", "decode", "encode"]


class Client:
    """Talks to a running pipeline; may be used from several threads."""

    def __init__(
        self, endpoint: str, token: str, prepare: Callable[[zmq.Socket[bytes]], None] = lambda socket: None
    ) -> None:
        self._token = token
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._seen = 0
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        prepare(self._socket)
        self._socket.connect(endpoint)

    @classmethod
    def attach(cls, which: str | None = None) -> Client:
        """To the running pipeline called `which`, or the only one. Raises ControlError."""
        try:
            run = runtime.attach(which)
            token = run.token
        except PipelineError as error:
            raise ControlError(str(error)) from error
        return cls(run.control, token)

    def request(self, op: str, *, timeout_s: float = TIMEOUT_S, **args: Any) -> Any:
        """Asks and waits for the answer. Raises ControlError with the reason."""
        with self._lock:
            number = next(self._ids)
            try:
                word = encode({"v": VERSION, "token": self._token, "id": number, "op": op, **args})
            except UNPACKABLE as error:
                raise ControlError(f"{op}: this cannot be sent: {error}") from error
            self._socket.send(word)
            deadline = time.monotonic() + timeout_s
            while (left_s := deadline - time.monotonic()) > 0 and self._socket.poll(int(left_s * 1000)):
                answer = decode(self._socket.recv())
                if answer.get("id") == number:
                    return self._result(answer)
        raise ControlError(self._silent(op, timeout_s))

    def _silent(self, op: str, timeout_s: float) -> str:
        return f"the pipeline did not answer {op!r} within {timeout_s:g} s"

    def _result(self, answer: dict[str, Any]) -> Any:
        if not answer.get("ok"):
            raise ControlError(str(answer.get("error", "refused")))
        return answer.get("result")

    def state(self) -> dict[str, Any]:
        """Everything there is to see: nodes, links, paths, transport, incidents."""
        result: dict[str, Any] = self.request("state")
        return result

    def set(
        self, node: str, name: str, value: Any, at: int | None = None, *, typed: str | None = None
    ) -> dict[str, Any]:
        """Changes a live setting; says at which position and in how many ms it is heard.

        `typed` is what somebody typed for it: a setting that is text takes that, whatever YAML makes of it.
        """
        result: dict[str, Any] = self.request("set", node=node, name=name, value=value, at=at, typed=typed)
        return result

    def transport(self, node: str, command: str, **args: Any) -> dict[str, Any]:
        """play, pause, seek (seconds=), next, loop (on=)."""
        result: dict[str, Any] = self.request("transport", node=node, command=command, args=args)
        return result

    def send(self, node: str, port: str, kind: str, **data: Any) -> dict[str, Any]:
        """An event for an event input of a node, such as `send("voice", "text", "text", text="Good evening. ")`."""
        result: dict[str, Any] = self.request("send", node=node, port=port, event={"kind": kind, **data})
        return result

    def graph(self) -> dict[str, Any]:
        """`{revision, graph, can_undo, can_redo, changing}`: the graph as wanted now, as plain values."""
        result: dict[str, Any] = self.request("graph")
        return result

    def edit(self, changes: list[dict[str, Any]], revision: int | None = None) -> dict[str, Any]:
        """Changes the graph while it plays, all or nothing; returns when the change is heard.

        `revision` is that of the graph the changes were made for; None: as it is now.
        """
        made_for = self.graph()["revision"] if revision is None else revision
        result: dict[str, Any] = self.request("edit", timeout_s=EDIT_S, changes=changes, revision=made_for)
        return result

    def undo(self) -> dict[str, Any]:
        """Takes the last change of the graph back."""
        result: dict[str, Any] = self.request("undo", timeout_s=EDIT_S)
        return result

    def redo(self) -> dict[str, Any]:
        """Makes a change that was taken back again."""
        result: dict[str, Any] = self.request("redo", timeout_s=EDIT_S)
        return result

    def events(self, timeout_s: float = 0.0) -> list[dict[str, Any]]:
        """What happened since the last call."""
        result = self.request("events", since=self._seen)
        self._seen = result["next"]
        events: list[dict[str, Any]] = result["events"]
        return events

    def stop(self) -> None:
        """Ends the pipeline cleanly."""
        self.request("stop")

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()
