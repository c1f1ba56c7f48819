"""Sees to it that the socket files in the runtime folder are those of this pipeline."""

from __future__ import annotations

import zmq

from audio_pipeline.links.socket_guard import SocketGuard
from audio_pipeline.supervisor.control_socket import Socket
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import Phase
from audio_pipeline.worker.commands import Bind


class SocketWatch:
    """A file that was removed is bound again by its owner; for one that was replaced the owner is restarted."""

    def __init__(self, state: PipelineState, events: EventStream, socket: Socket, guard: SocketGuard) -> None:
        self._state, self._events, self._socket, self._guard = state, events, socket, guard
        self._folder = state.run.run_dir

    def turn(self, now_s: float) -> None:
        """Once a second."""
        records = [record for record in self._state.playing if record.phase is Phase.RUNNING and record.ready]
        owners = {record.name: record.child.pid for record in records if record.child is not None}
        for name, file in self._guard.turn(now_s, owners).items():
            self._events.log(f"another process has taken the socket {file} in {self._folder}; {name} is restarted")
            (self._folder / file).unlink(missing_ok=True)  # consumers must find the successor, not the other process
            child = self._state.nodes[name].child
            if child is not None:
                child.kill()
        if self._guard.control_taken:
            self._events.log(f"the control socket in {self._folder} was taken or removed; it is bound again")
            self._bind_control()

    def _bind_control(self) -> None:
        try:
            self._socket.bind_again()
        except zmq.ZMQError as error:
            self._events.log(f"the control socket cannot be bound again now: {error}")
        else:
            self._guard.took_back()

    def bind_again(self, name: str, ports: list[str]) -> None:
        """The files of a node's sockets were removed: it binds them anew, and nothing is restarted."""
        self._events.log(f"sockets of {name} were removed from {self._folder}; it binds them again")
        self._guard.expect(name)
        self._socket.send(self._state.nodes[name].address, Bind(tuple(ports)))
