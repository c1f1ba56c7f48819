"""A pipeline inside a program of one's own: loaded, started, changed, watched and ended from Python.

    with Pipeline.load("karaoke", {"nodes.song.path": "song.mp3"}) as pipeline:
        pipeline.set("mix.inputs.vocals.gain_db", -20)
        pipeline.wait()

The sound stays in the nodes' processes; this process holds the supervisor's thread and a control client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from audio_pipeline.control.client import Client
from audio_pipeline.control.replies import SetReply
from audio_pipeline.control.state import State, fetch_state
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.graph.load import load, loads
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.host.file_names import file_name
from audio_pipeline.run.assignment import schedule, split_key
from audio_pipeline.run.events import Events, RunEvents
from audio_pipeline.run.exit import GUARD
from audio_pipeline.run.folder import run_folder
from audio_pipeline.run.observers import logging_to, metrics_at
from audio_pipeline.run.options import DEFAULTS, Options
from audio_pipeline.run.result import Result, result_of
from audio_pipeline.supervisor.supervisor import Supervisor

POLL_S = 0.02
ENDING_S = 1.0  # from the last answer to the end of the run
Overrides = Mapping[str, Any] | Sequence[str]


class Pipeline:
    """One run of a graph; may be used from any thread, beside other pipelines of the same process.

    As a context manager it starts on entry. On exit it ends the graph, waits until every process is gone, writes the
    report, and raises the PipelineError that ended the run, if one did.
    """

    def __init__(self, graph: Graph, options: Options = DEFAULTS) -> None:
        """Raises ConfigError for a graph that cannot run so: a budget, an interpreter, a schedule."""
        self.graph = graph
        self.options = options
        self.result: Result | None = None
        self.metrics_notice = ""  # where metrics are served, as a sentence
        make_plan(graph, live=not self.options.offline)
        self._schedule = schedule(graph, self.options.at)
        self._events = RunEvents()
        self._stack = ExitStack()
        self._supervisor: Supervisor | None = None
        self._client: Client | None = None
        self._is_stopped = False

    @classmethod
    def load(cls, config: str | Path, overrides: Overrides = (), options: Options = DEFAULTS) -> Pipeline:
        """The pipeline in a file, or the bundled one of that name; a file wins over a bundled name.

        `overrides` are keys of the file with Python values, `{"nodes.song.path": "song.mp3"}`, or `KEY=VALUE` texts.
        Raises ConfigError; nothing is started, fetched or written.
        """
        return cls(load(config, overrides), options)

    @classmethod
    def loads(cls, text: str, overrides: Overrides = (), options: Options = DEFAULTS) -> Pipeline:
        """As `load`, from YAML text; paths in it are relative to the working directory."""
        return cls(loads(text, sets=overrides), options)

    # -- the run --------------------------------------------------------------------------------------

    def fetch(self) -> None:
        """Brings the weights and songs that the nodes need, unless they are here. Raises WeightsError."""
        from audio_pipeline.models.weights import store

        specs = self.graph.nodes.values()
        for spec in specs:
            for name in spec.cls.assets(spec.settings):
                store.fetch(name)

    def start(self) -> Pipeline:
        """Starts every node and returns; they begin to play when all are ready. Raises PipelineError."""
        if self._supervisor is not None:
            raise PipelineError(f"pipeline {self.graph.name!r} has been started already: load it again for another run")
        self.fetch()
        name = f"{file_name(self.graph.name)}-{datetime.now():%Y%m%d-%H%M%S}"
        wanted = None if self.options.folder is None else Path(self.options.folder)
        with ExitStack() as stack:
            supervisor = self._supervise(stack.enter_context(run_folder(wanted, name)), stack)
            try:
                supervisor.start()
            except BaseException:  # Ctrl-C included: what has started already ends
                supervisor.stop()
                self._supervisor = None
                self._events.finish()
                raise
            self._client = supervisor.client()
            self._events.begin(supervisor, self._client)
            stack.callback(self._client.close)
            self._stack = stack.pop_all()
        GUARD.add(supervisor)
        return self

    def _supervise(self, folder: Path, stack: ExitStack) -> Supervisor:
        """A supervisor with everything that listens to it, not started yet."""
        options, graph = self.options, self.graph
        supervisor = self._supervisor = Supervisor(
            graph,
            offline=options.offline,
            duration_s=options.duration_s,
            folder=folder,
            schedule=self._schedule,
        )
        if options.log is not None:
            log = Path(options.log) if isinstance(options.log, str) else options.log
            stack.enter_context(logging_to(supervisor, log, options.log_format))
        address = options.metrics or graph.top.metrics
        if address:
            self.metrics_notice = stack.enter_context(metrics_at(supervisor, address))
        if self._is_stopped:  # meanwhile, by another thread or a signal
            supervisor.stop()
        return supervisor

    def stop(self) -> None:
        """Asks for the end and returns: sources end, the end travels through the graph, files are closed."""
        self._is_stopped = True
        if self._supervisor is not None:
            self._supervisor.stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end of the run; True when every process is gone. Raises nothing: see `error`."""
        return self._supervisor is None or self._supervisor.wait(timeout_s)

    def wait_playing(self) -> bool:
        """Waits until every node is ready and the clock runs; False where the run ended before that."""
        while not self.supervisor.started:
            if self.supervisor.wait(POLL_S):
                return False
        return True

    def close(self) -> None:
        """Ends the run, waits for it and writes the report; may be called again. Raises nothing: see `error`."""
        if self._supervisor is None:
            return
        self.stop()
        self._supervisor.wait(None)
        GUARD.discard(self._supervisor)
        self._events.finish()
        if self.result is None:
            self.result = result_of(self._supervisor, self.graph, report=self.options.report)
        self._stack.close()

    def __enter__(self) -> Pipeline:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self.error is not None and (error is None or isinstance(error, ControlError)):
            raise self.error from error

    # -- while it runs --------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Every operation of the control protocol. Raises ControlError before the start."""
        if self._client is None:
            raise ControlError(f"pipeline {self.graph.name!r} has not been started")
        return self._client

    @property
    def access(self) -> dict[str, str]:
        """For more clients: `AsyncClient(**pipeline.access)`. Raises ControlError before the start."""
        return self.supervisor.access

    def set(self, key: str, value: Any) -> SetReply:
        """Changes a live setting, `set("mix.inputs.vocals.gain_db", -20)`; the reply says when that is audible.

        Raises ControlError for an unknown node or setting, a value out of range, and after the end.
        """
        node, name = split_key(key)
        return self.client.set(node, name, value)

    def state(self) -> State:
        """Nodes, links, levels, latencies, ledger and incidents as they are now; after the end as they were last.

        Raises ControlError before the start, and for a run that never came to play.
        """
        final = self._final(0)
        if final is not None:
            return final
        try:
            return fetch_state(self.client)
        except ControlError:
            final = self._final(ENDING_S)  # it may have ended between the question and the answer
            if final is None:
                raise
            return final

    def _final(self, timeout_s: float) -> State | None:
        """The last state of a run that ends within `timeout_s`."""
        supervisor = self._supervisor
        return supervisor.final_state() if supervisor is not None and supervisor.wait(timeout_s) else None

    def events(self, *kinds: str) -> Events:
        """The events from this call on, until the pipeline ends; with `kinds` only those (`log`, `incident`, ...).

        A reader may be made before the start, so that it misses nothing. Events are numbered: `MissedEvents` stands
        where a slow reader has a gap.
        """
        return self._events.reader(kinds)

    # -- how it went ----------------------------------------------------------------------------------

    @property
    def error(self) -> PipelineError | None:
        """What ended the run other than its own end or `stop`; one sentence."""
        return None if self._supervisor is None else self._supervisor.error

    @property
    def exit_code(self) -> int:
        """0, or that of the error's class."""
        return 0 if self._supervisor is None else self._supervisor.exit_code

    @property
    def folder(self) -> Path:
        """Where recordings and report go. Raises ControlError before the start."""
        return self.supervisor.folder

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of the run, for tools and proofs of this package. Raises ControlError before the start."""
        if self._supervisor is None:
            raise ControlError(f"pipeline {self.graph.name!r} has not been started")
        return self._supervisor
