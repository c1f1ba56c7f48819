"""Runs a pipeline: starts the nodes of a graph as processes, watches them, restarts them, and answers for them.

It runs in one thread that lives as long as the pipeline, since the kernel's parent-death signal follows the thread
that started a process. The parts that do the work are in `assembly`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.clock import ClockRecord
from audio_pipeline.control.client import Client
from audio_pipeline.control.events import Event
from audio_pipeline.control.state import State
from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.host import runtime
from audio_pipeline.host.limits import allow_files
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.waker import Waker
from audio_pipeline.supervisor.assembly import Assembly, Ground
from audio_pipeline.supervisor.control_socket import ControlSocket
from audio_pipeline.supervisor.event_log import EventLog
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.helper import Helper
from audio_pipeline.supervisor.incident_reports import note_shortage
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.interpreter import check_interpreters
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.launcher import Launcher
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.own_workers import OwnWorkers
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.pooled import PooledWorkers
from audio_pipeline.supervisor.process import Forks, WorkerPool
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.supervisor.worker_spec import WorkerSpec, worker_specs

POLL_MS = 50


class Supervisor:
    """One running pipeline, as the program that runs it sees it."""

    def __init__(
        self,
        graph: Graph,
        *,
        offline: bool = False,
        duration_s: float | None = None,
        folder: Path | None = None,
        schedule: Mapping[str, list[list[Any]]] | None = None,
    ) -> None:
        self.folder = folder or Path.cwd()
        self.helpers: list[Helper] = []  # processes beside the nodes; complete before `start`
        self._graph, self._live, self._duration_s = graph, not offline, duration_s
        self._schedule = dict(schedule or {})
        self._life = Lifecycle()
        self._events = EventStream(lambda: self._life.uptime_s)
        self._token = secrets.token_hex(16)
        self._waker = Waker()
        self._open = ExitStack()  # what is let go of at the end, or where a start fails half-way
        self._assembly: Assembly | None = None
        self._run_dir: RunDir | None = None
        self._up, self._ended = threading.Event(), threading.Event()
        self._final: State | None = None

    # -- for the caller ---------------------------------------------------------------------------

    def start(self) -> None:
        """Starts everything in the supervisor's own thread. Raises what could not be set up."""
        allow_files(len(self._graph.nodes))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"folder {str(self.folder)!r} cannot be made: {error.strerror}") from error
        check_interpreters(self._graph)
        threads.start(self._main, "supervisor", daemon=False)
        self._up.wait()
        if self.error is not None:
            raise self.error

    def wait(self, timeout_s: float | None = None) -> bool:
        """True when the pipeline has ended and nothing of it is left."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Ends it cleanly: sources end, the end travels through the graph, files close. May be called twice."""
        self._life.stop()
        self._waker.wake()

    def client(self) -> Client:
        """A control client for this pipeline."""
        return Client(self.run_dir.control, self._token)

    @property
    def access(self) -> dict[str, str]:
        """Where a control client connects, and its token."""
        return {"endpoint": self.run_dir.control, "token": self._token}

    @property
    def run_dir(self) -> RunDir:
        """The runtime folder, once it is started."""
        if self._run_dir is None:
            raise PipelineError("the pipeline has not been started")
        return self._run_dir

    @property
    def parts(self) -> Assembly:
        """What it is made of, once it is started; they belong to the supervisor's thread."""
        if self._assembly is None:
            raise PipelineError("the pipeline has not been started")
        return self._assembly

    @property
    def graph(self) -> Graph:
        """As it is wanted now."""
        assembly = self._assembly
        return self._graph if assembly is None else assembly.state.graph

    @property
    def nodes(self) -> Mapping[str, NodeRecord]:
        """What is known of each node, once it is started; to be read only."""
        state = self.parts.state
        return state.nodes

    @property
    def started(self) -> bool:
        """True once every node was ready and the clock runs."""
        return self._life.started

    @property
    def error(self) -> PipelineError | None:
        """Why it did not start, or what it ended with."""
        return self._life.error

    @property
    def exit_code(self) -> int:
        """0, or that of the error."""
        return self._life.exit_code

    @property
    def listeners(self) -> list[Callable[[Event], None]]:
        """Called with every event, in the supervisor's thread."""
        return self._events.listeners

    @property
    def event_log(self) -> EventLog:
        """The newest events; the supervisor's thread writes to it until the end."""
        return self._events.kept

    def final_state(self) -> State | None:
        """The last state, after the end; None where it never came to that."""
        return self._final

    # -- the thread -------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            with self._open:
                self._open.callback(self._waker.close)
                self._run()
        except Exception as error:  # noqa: BLE001 - what cannot be let go of is reported, and nobody waits for it
            self._life.give_up(_refusal(error, "ended badly"))
        finally:
            self._up.set()
            self._ended.set()

    def _run(self) -> None:
        try:
            assembly, socket = self._set_up()
        except Exception as error:  # noqa: BLE001 - planning asks nodes; their mistakes must not leave `start` waiting
            self._life.fail(_refusal(error, "cannot start"))
            return
        self._assembly = assembly
        self._up.set()
        self._play(assembly, socket)

    def _play(self, assembly: Assembly, socket: ControlSocket) -> None:
        try:
            while not assembly.ending.over:
                socket.wait(POLL_MS)
                assembly.turn(time.monotonic())
        except Exception as error:  # noqa: BLE001 - nothing more to be had, or a mistake: what plays is ended, with a sentence
            self._life.give_up(_refusal(error, "the pipeline cannot continue"))
        try:
            self._final = assembly.close()
        except Exception as error:  # noqa: BLE001 - a mistake at the end is reported, and nobody waits for it
            self._life.give_up(_refusal(error, "ended badly"))

    def _set_up(self) -> tuple[Assembly, ControlSocket]:
        """Everything that the nodes need, and their processes. Raises what the system or the plan refuses."""
        run_dir = self._run_dir = runtime.create(self._graph.name, self._token)
        self._open.callback(run_dir.remove)
        life, events, incidents = self._life, self._events, Incidents()
        specs = worker_specs(self._graph)
        forks = self._forks(specs[0], run_dir.path)  # it imports while the rest is set up
        self._open.callback(forks.close)
        socket = ControlSocket(run_dir.control, self._waker)
        self._open.callback(socket.close)
        plan = make_plan(self._graph, live=self._live)
        run = Run(
            plan,
            run_dir.path,
            self.folder,
            lambda port: run_dir.endpoint(port.node, port.port),
            run_dir.control,
            self._token,
        )
        run.add_clocks()
        clock = ClockRecord(run.clock_path)
        self._open.callback(clock.close)
        state = PipelineState(run, duration_s=self._duration_s, schedule=self._schedule)
        steps = Steps(lambda step, reason: note_shortage(life, events, incidents, step, reason))
        pool = WorkerPool(specs, run_dir.path, run_dir.note_children, forks)
        launcher = Launcher(state, JobMaker(state, Playhead(state, socket.send)), pool, self._waker.wake)
        ground = Ground(state, life, events, incidents, steps, socket, run_dir, clock, self._token)
        assembly = Assembly(ground, launcher, self.helpers)
        try:
            assembly.restarts.launch_all()
        except BaseException:
            assembly.abandon()
            raise
        return assembly, socket

    def _forks(self, spec: WorkerSpec, folder: Path) -> Forks:
        if self._graph.shares_workers:
            return PooledWorkers(spec, self._events.log)
        return OwnWorkers(spec, folder, self._events.log)


def _refusal(error: Exception, what: str) -> PipelineError:
    """Why a pipeline did not start or cannot go on, as a sentence."""
    if isinstance(error, PipelineError):
        return error
    system = isinstance(error, (OSError, zmq.ZMQError))
    return PipelineError(f"{what}: {error}" if system else f"{what}: {type(error).__name__}: {error}")
