"""`audio-pipeline client`: this host's sound card at the end of a pipeline on another host.

The client is a pipeline itself, of two or four nodes: from the other host to the loudspeaker, and from the microphone
to the other host. So it is supervised, and survives losses, like any other.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from audio_pipeline.cli.observer import run_to_end
from audio_pipeline.control.events import LogEvent
from audio_pipeline.control.replies import PortsReply
from audio_pipeline.control.snapshots import NodeLedger
from audio_pipeline.control.state import NodeState, State
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.gateway.control import RemoteControl
from audio_pipeline.gateway.remote import find_remote
from audio_pipeline.graph.load import build_graph
from audio_pipeline.graph.types import Graph
from audio_pipeline.places import Places
from audio_pipeline.run.events import Events
from audio_pipeline.run.options import Options
from audio_pipeline.run.pipeline import Pipeline
from audio_pipeline.terminal import printable, write
from audio_pipeline.view.watch import StateWatch

NETWORK = "network"  # the process of both directions, so that they share a connection
REFRESH_S, REFRESH_MS = 0.25, 250
LINE_S = 1.0
BUFFER_MS = 20.0  # the jitter is gone before: this is for the loudspeaker's own


def client(args: argparse.Namespace) -> int:
    """Plays an output of another host here, feeds it this microphone, or both, until Ctrl-C."""
    options = Options(duration_s=args.duration, folder=Path.cwd(), report=False)
    pipeline = Pipeline(client_graph(args, remote_ports(args)), options)
    log = pipeline.events("log")
    run_to_end(pipeline, lambda: show(pipeline, log))
    return pipeline.exit_code


def remote_ports(args: argparse.Namespace) -> PortsReply:
    """The ports of the other host: a wrong name is an error before anything starts."""
    there = RemoteControl(find_remote(args.host, args.key, args.own))
    try:
        deadline = time.monotonic() + 2 * LINE_S
        while not (ports := there.ports()).outputs and not ports.feeds and time.monotonic() < deadline:
            time.sleep(REFRESH_S)  # it has just been started
        return ports
    finally:
        there.close()


def client_graph(args: argparse.Namespace, there: PortsReply) -> Graph:
    """The client's own pipeline. Raises ConfigError for what the other host does not have."""
    outputs = [output.port for output in there.outputs]
    play = args.play or ("" if args.mic else next(iter(outputs), ""))
    play = play if "." in play or not play else f"{play}.out"
    _check("--play", play, outputs, "exports no output")
    _check("--mic", args.mic, there.feeds, "has no node that waits for sound called")
    if not play and not args.mic:
        raise ConfigError(f"{args.host} exports nothing; name outputs with `export:` in its gateway")
    link = {"host": args.host, "key": args.key, "own": args.own, "process": NETWORK}
    nodes: dict[str, Mapping[str, object]] = {}
    if play:
        nodes["there"] = {"kind": "remote_in", "port": play, **link}
        nodes["speaker"] = {
            "kind": "playback",
            "device": args.device,
            "buffer_ms": BUFFER_MS,
            "in": {"from": "there", "on_loss": "silence"},
        }
    if args.mic:
        nodes["mic"] = {"kind": "capture", "device": args.input}
        nodes["send"] = {"kind": "remote_out", "to": args.mic, "in": "mic", **link}
    return build_graph({"version": 1, "name": "client", "rate": there.rate, "nodes": nodes}, Places())


def _check(option: str, name: str, known: Sequence[str], lacks: str) -> None:
    if name and name not in known:
        names = ", ".join(known) or "none"
        raise ConfigError(f"{option}: the other host {lacks} {name!r}{nearest(name, known)}; there are: {names}")


def show(pipeline: Pipeline, log: Events) -> str:
    """One line that is kept up to date, or one a second without a terminal; log lines as they come."""
    if not sys.stdout.isatty():
        _follow(pipeline, log)
        return ""
    from rich.live import Live
    from rich.text import Text

    watch = StateWatch(pipeline.client, every_ms=REFRESH_MS, patience_s=math.inf)
    with closing(watch), Live(refresh_per_second=4, transient=True) as live:
        while not pipeline.wait(REFRESH_S):
            for message in _new_messages(log):
                live.console.print(printable(message), markup=False, highlight=False)
            state = watch.refresh()
            live.update(Text(printable(status(state)) if state else "", no_wrap=True, overflow="ellipsis"))
    return ""


def _follow(pipeline: Pipeline, log: Events) -> None:
    with closing(StateWatch(pipeline.client, every_ms=round(LINE_S * 1000), patience_s=math.inf)) as watch:
        while not pipeline.wait(LINE_S):
            write(*map(printable, _new_messages(log)))
            state = watch.refresh()
            if state:
                write(printable(status(state)))


def _new_messages(log: Events) -> list[str]:
    return [event.message for event in iter(lambda: log.get(0), None) if isinstance(event, LogEvent)]


def status(state: State) -> str:
    """The client in one line: delay, jitter, buffer and losses of incoming sound; losses of outgoing sound."""
    nodes = {node.name: node for node in state.node_states}
    parts = []
    if "there" in nodes:
        there = nodes["there"]
        parts.append(f"{there.description.settings['port']} {_input_text(there, nodes['speaker'])}")
    if "send" in nodes:
        send = nodes["send"]
        to = send.description.settings["to"]
        parts.append(f"{nodes['mic'].meters.state} mic -> {to} {_output_text(send.ledger)}")
    return " | ".join(parts)


def _input_text(there: NodeState, speaker: NodeState) -> str:
    gauges, counters = there.ledger.gauges, there.ledger.counters
    if not gauges.get("connected"):
        return "not connected"
    peak_db = max((peak for peak, _ in (there.meters.levels_db or {}).values()), default=-120.0)
    delay_ms = gauges.get("age_ms", 0.0) + speaker.description.latency_ms["total"]
    lost = counters.get("lost_samples", 0) + counters.get("late_samples", 0) + counters.get("skipped_samples", 0)
    way_ms = gauges.get("round_trip_ms", 0.0) / 2
    return (
        f"{_meter(peak_db)} {peak_db:6.1f} dB  delay {delay_ms:.0f} ms  way {way_ms:.1f} ms"
        f"  jitter {gauges.get('jitter_ms', 0.0):.1f} ms  buffer {gauges.get('buffer_ms', 0.0):.0f}"
        f"/{gauges.get('target_ms', 0.0):.0f} ms  {gauges.get('ppm', 0.0):+.0f} ppm  dry {counters.get('underruns', 0)}"
        f"  lost {lost} samples  again {counters.get('reconnects', 0)}"
    )


def _output_text(send: NodeLedger) -> str:
    dropped = sum(amount for name, amount in send.counters.items() if name.startswith("dropped_"))
    where = "connected" if send.gauges.get("connected") else "not connected"
    sent, again = (send.counters.get(name, 0) for name in ("sent", "reconnects"))
    return f"{where}  sent {sent}  dropped {dropped}  again {again}"


def _meter(peak_db: float) -> str:
    """
    >>> _meter(-120.0), _meter(0.0), _meter(-30.0)
    ('..........', '##########', '#####.....')
    """
    filled = min(max(round((peak_db + 60) / 6), 0), 10)
    return "#" * filled + "." * (10 - filled)
