"""Requests to change the graph of a running pipeline, and its history."""

from __future__ import annotations

from functools import partial

from audio_pipeline.control.replies import GraphReply
from audio_pipeline.control.requests import EditRequest, RedoRequest, UndoRequest
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.graph.edit import edited, rebuilt
from audio_pipeline.graph.types import Graph
from audio_pipeline.supervisor.callers import Caller
from audio_pipeline.supervisor.change import Done, Outcome
from audio_pipeline.supervisor.history import History
from audio_pipeline.supervisor.interpreter import check_interpreters
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.live_graph import live_raw
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.transaction import Transaction


class Editor:
    """Checks a request against the present revision and hands it to the transaction."""

    def __init__(self, state: PipelineState, life: Lifecycle, transaction: Transaction) -> None:
        self._state, self._life, self._transaction = state, life, transaction
        self.history = History()

    def show(self) -> GraphReply:
        """The graph as it is wanted, live settings included."""
        state, history = self._state, self.history
        graph = live_raw(state.graph, state.nodes)
        undos, redos = len(history.undos), len(history.redos)
        return GraphReply(state.graph_revision, graph, undos, redos, self._transaction.busy)

    def edit(self, caller: Caller, request: EditRequest) -> None:
        """A list of changes against a revision. Raises ControlError or ConfigError; then nothing has changed."""
        self._check(request.revision)
        self.change_to(edited(self._state.graph, request.changes), partial(_reply, caller))

    def step(self, caller: Caller, request: UndoRequest | RedoRequest, *, back: bool) -> None:
        """Takes the last change back, or makes it again. Raises as `edit`; the revision may be left out (None)."""
        self._check(request.revision)
        steps, what = (self.history.undos, "undo") if back else (self.history.redos, "redo")
        if not steps:
            raise ControlError(f"there is nothing to {what}")
        self.change_to(rebuilt(self._state.graph, steps[-1]), partial(_reply, caller), what)

    def change_to(self, graph: Graph, done: Done, what: str = "edit") -> None:
        """Begins a change to another graph. Raises ControlError or ConfigError; then nothing has changed."""
        check_interpreters(graph)
        self._transaction.begin(graph, what, lambda: self._note(what), done)

    def _note(self, what: str) -> None:
        graph = self._state.graph
        self.history.note(what, dict(graph.raw))

    def _check(self, revision: int | None) -> None:
        if not self._state.live:
            raise ControlError("a graph can be changed while it plays live, not offline")
        if not self._life.started or self._life.ending:
            raise ControlError("the graph can be changed while the pipeline plays, not while it starts or ends")
        if self._transaction.busy:
            raise ControlError("another change of the graph is in progress; request the graph and try again")
        if revision is not None and revision != self._state.graph_revision:
            present = self._state.graph_revision
            raise ControlError(
                f"revision: the graph is at {present}, the change was made against {revision!r}; look at it again"
            )


def _reply(caller: Caller, outcome: Outcome) -> None:
    """A change of the graph plays, or was taken back."""
    if isinstance(outcome, PipelineError):
        caller.refuse(str(outcome))
    else:
        caller.reply(outcome)
