"""A real pipeline of three nodes, playing, for all tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio_pipeline.control.client import Client
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.graphs import graph_of
from tests.patience import PATIENCE_S

NODES = """
song: {kind: noise, seed: 0}
mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""


@contextmanager
def small_pipeline(name: str) -> Iterator[Supervisor]:
    """Runs it and checks that it ends without an error."""
    with tempfile.TemporaryDirectory(prefix="r") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        supervisor = Supervisor(graph_of(NODES, name=name), folder=Path(folder))
        supervisor.start()
        try:
            with supervisor.client() as client:
                wait_for_running(client)
            yield supervisor
        finally:
            supervisor.stop()
            assert supervisor.wait(PATIENCE_S) and supervisor.exit_code == 0


def wait_for_running(client: Client) -> None:
    """Until every node runs."""
    while {node.state for node in client.meters().nodes.values()} != {"running"}:
        client.events()
