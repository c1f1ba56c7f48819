"""What watches a run beside its caller: an event log, and the process that serves metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from audio_pipeline.control.events import Event
from audio_pipeline.host.address import parse_address
from audio_pipeline.observe.exporter import Endpoint
from audio_pipeline.observe.journal import Journal, open_log
from audio_pipeline.supervisor.helper import Helper
from audio_pipeline.supervisor.supervisor import Supervisor


@contextmanager
def logging_to(supervisor: Supervisor, log: Path | TextIO, form: str | None) -> Iterator[None]:
    """Appends every event to `log`, as lines of text or JSON. Raises PipelineError for a file that cannot be written.

    Without `form` the suffix decides: `.json` and `.jsonl` hold JSON, everything else text.
    """
    if not isinstance(log, Path):
        supervisor.listeners.append(_journal(supervisor, log, form or "text"))
        yield
        return
    with open_log(log) as out:
        json = log.suffix in (".json", ".jsonl")
        supervisor.listeners.append(_journal(supervisor, out, form or ("json" if json else "text")))
        yield


def _journal(supervisor: Supervisor, out: TextIO, form: str) -> Callable[[Event], None]:
    """A journal that is made with the first event: the run's name and token exist from then on."""
    made: list[Journal] = []

    def on_event(event: Event) -> None:
        if not made:
            run, name = supervisor.run_dir, supervisor.graph.name
            made.append(Journal(out, form, pipeline=name, run=run.name, secrets=(run.token,)))
        made[0](event)

    return on_event


@contextmanager
def metrics_at(supervisor: Supervisor, address: str) -> Iterator[str]:
    """Serves metrics at `[HOST:]PORT`; gives the sentence that says where. Raises PipelineError."""
    endpoint = Endpoint(parse_address(address))

    def message() -> Mapping[str, str]:
        return {**supervisor.access, "bearer": endpoint.bearer}

    try:
        descriptors = [endpoint.socket.fileno()]
        supervisor.helpers.append(Helper("metrics", "audio_pipeline.observe.metrics_process", message, descriptors))
        yield endpoint.summary
    finally:
        endpoint.close()
