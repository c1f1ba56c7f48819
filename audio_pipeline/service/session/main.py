"""The process of a session: `python -m audio_pipeline.service.session.main FOLDER`.

It is started in a process session of its own and waits for nobody: the web process, the media process and their
parent may end, and it plays on until its lease is over, its sources end, or it is asked to stop.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from audio_pipeline.control.client import Client
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.load import load
from audio_pipeline.graph.types import Graph
from audio_pipeline.graph_changes import Remove
from audio_pipeline.host.lock import Hold
from audio_pipeline.host.parent import adopting_orphans
from audio_pipeline.run.options import Options
from audio_pipeline.run.pipeline import Pipeline
from audio_pipeline.service.session.folder import (
    ENDED,
    ENDING,
    FAILED,
    PAUSED,
    PLAYING,
    STARTING,
    SessionFolder,
    SessionJob,
    SessionStatus,
)
from audio_pipeline.service.session.lease import Lease, Step
from audio_pipeline.terminal import warn

TURN_S = 0.5
RECORDER = "recorder"


def graph_of(job: SessionJob) -> Graph:
    """The graph of a job without its recorders: they are added for each take. Raises ConfigError."""
    graph = load(job.path, job.overrides)
    names = [name for name, spec in graph.nodes.items() if spec.kind == RECORDER]
    return edited(graph, [Remove(name=name) for name in names]) if names else graph


class Session:
    """One pipeline, its status on disk and its lease."""

    def __init__(self, folder: SessionFolder, job: SessionJob) -> None:
        self._folder, self._job = folder, job
        self._status = SessionStatus(pid=os.getpid())
        self._held_back: list[str] = []  # sources that the lease paused
        self._write(STARTING)

    def _write(self, state: str, run: str = "", error: str = "") -> None:
        self._status = SessionStatus(state, run or self._status.run, os.getpid(), error or self._status.error)
        try:
            self._folder.write_status(self._status)
        except OSError as failure:  # a full disk stops no sound
            warn(f"session {self._folder.id}: its status cannot be written: {failure.strerror or failure}")

    def run(self) -> int:
        """Plays to the end and returns the exit code of whatever ended it."""
        try:
            pipeline = Pipeline(graph_of(self._job), Options(folder=self._folder.path / "run", report=False))
            self._play(pipeline)
            error = pipeline.error
        except PipelineError as failure:
            error = failure
        except Exception as fault:
            self._write(FAILED, error=f"{type(fault).__name__}: {fault}")
            raise
        self._write(ENDED if error is None else FAILED, error="" if error is None else str(error))
        return 0 if error is None else error.exit_code

    def _play(self, pipeline: Pipeline) -> None:
        def on_signal(number: int, frame: FrameType | None) -> None:
            pipeline.stop()

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)
        try:
            pipeline.start()
            self._write(STARTING, str(pipeline.supervisor.run_dir.path))
            if pipeline.wait_playing():
                self._write(PLAYING)
                self._keep(pipeline)
        finally:
            self._write(ENDING)
            pipeline.close()

    def _keep(self, pipeline: Pipeline) -> None:
        lease = Lease(self._job.lease_s, time.monotonic())
        while not pipeline.wait(TURN_S):
            step = lease.turn(self._folder.lease_stamp(), time.monotonic())
            if step is Step.END:
                pipeline.stop()
            elif step is not None:
                self._on_step(step, pipeline.client)

    def _on_step(self, step: Step, client: Client) -> None:
        with suppress(ControlError):  # it has ended meanwhile
            if step is Step.PAUSE:
                self._held_back = [name for name, song in client.meters().transport.items() if song.playing]
                _command(client, self._held_back, "pause")
                self._write(PAUSED)
            else:
                _command(client, self._held_back, "play")
                self._held_back = []
                self._write(PLAYING)


def _command(client: Client, nodes: list[str], command: str) -> None:
    for node in nodes:
        client.transport(node, command)


def main() -> int:
    """Runs the session in the folder that the command line names."""
    folder = SessionFolder(Path(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold = Hold(folder.path)
    try:
        with adopting_orphans():
            return Session(folder, folder.job()).run()
    except PipelineError as error:
        warn(f"session {folder.id}: {error}")
        folder.write_status(SessionStatus(FAILED, pid=os.getpid(), error=str(error)))
        return error.exit_code
    finally:
        hold.close()


if __name__ == "__main__":
    sys.exit(main())
