"""The control protocol to a pipeline on another host, through its gateway."""

from __future__ import annotations

import re

import zmq

from audio_pipeline.control.client import Client
from audio_pipeline.control.connection import Connection
from audio_pipeline.errors import ConfigError
from audio_pipeline.gateway.curve import DENIED, NO_CURVE, UNREACHABLE, UP, WRONG_KEY, Watcher, explain
from audio_pipeline.gateway.peer import Remote, find_remote
from audio_pipeline.keys import Keys

ADDRESS = re.compile(r"tcp://(?:(?P<key>[^@]*)@)?(?P<host>[^@]+)")


class RemoteControl(Client):
    """As `Client`; what is allowed depends on this host's role there. Says why where nobody answers."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._watcher: Watcher | None = None
        super().__init__(remote.endpoint, "", self._prepare)

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        self._remote.prepare(socket)
        self._watcher = Watcher(socket)

    def _dial(self) -> Connection:
        return Connection(self._remote.endpoint, "", self._remote.prepare)

    def _silent(self, op: str, timeout_s: float) -> str:
        news = self._watcher.news() if self._watcher else []
        told = [status for status in (DENIED, WRONG_KEY, NO_CURVE, UP, UNREACHABLE) if status in news]
        worst = "" if not told or told[0] == UP else told[0]
        return explain(worst, self._remote.endpoint, self._remote.name, curve=self._remote.own is not None)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        super().close()


def connect(address: str, own: str = "", keys: Keys | None = None) -> RemoteControl:
    """A client for `tcp://HOST[:PORT]`, or `tcp://KEY@HOST[:PORT]` where the key is not called as the host is."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ConfigError(f"--pipeline: expected a name, or tcp://[KEY@]HOST[:PORT], got {address!r}")
    return RemoteControl(find_remote(found["host"], found["key"] or "", own, keys=keys))
