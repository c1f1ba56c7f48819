"""States of a made-up pipeline, first as plain maps, and a client that serves them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from audio_pipeline.control.events import Event, LogEvent, NodeEvent
from audio_pipeline.control.pushes import EventBatch, Push
from audio_pipeline.control.replies import SetReply
from audio_pipeline.control.requests import EVENTS, GRAPH, LEDGER, METERS
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.control.state import State
from audio_pipeline.errors import ControlError
from audio_pipeline.histogram import AGE_EDGES_MS
from audio_pipeline.view.screen import ScreenState
from tests.engine.snapshots_of import description_of, ledger_of, meters_of

RATE = 44_100


def link(
    source: str, target: str, policy: str = "drop_oldest", budget_ms: float = 120.0, **over: Any
) -> dict[str, Any]:
    """A healthy link with ages of a few milliseconds."""
    peak = over.pop("typical_ms", 4.0)
    counts = [round(4000 * math.exp(-((math.log(edge / peak)) ** 2) / 0.3)) for edge in AGE_EDGES_MS] + [0]
    values: dict[str, Any] = {
        "from": source,
        "to": target,
        "policy": policy,
        "budget_ms": budget_ms,
        "queued": 0,
        "in_flight": 1,
        "window": 4,
        "age_ms": {"p50": peak, "p99": peak * 3.1, "max": peak * 5.2},
        "age_histogram": {"edges_ms": [float(edge) for edge in AGE_EDGES_MS], "counts": counts},
        "offered": 8341,
        "delivered": 8340,
        "dropped": {},
        "balanced": True,
    }
    return {**values, **over}


def node(kind: str, **over: Any) -> dict[str, Any]:
    """A running node."""
    values: dict[str, Any] = {
        "kind": kind,
        "state": "running",
        "pid": 4242,
        "restarts": 0,
        "cpu": 0.02,
        "rss_mb": 61.0,
        "levels_db": {},
        "busy": 0.03,
        "wait_ms": 6.2,
        "latency_ms": {"window": 0.0, "lookahead": 0.0, "hop": 0.0, "compute": 0.0, "total": 0.0},
        "counters": {},
        "gauges": {},
        "settings": {},
        "live": [],
        "note": "",
    }
    return {**values, **over}


def path(**terms_ms: float) -> dict[str, Any]:
    """A path through nodes that take so long each, with a budget of 700 ms."""
    total_ms = sum(terms_ms.values())
    return {"path": list(terms_ms), "terms_ms": terms_ms, "total_ms": total_ms, "budget_ms": 700.0, "monitor": False}


def fader(gain_db: float = 0.0, *, mute: bool = False) -> dict[str, Any]:
    return {"gain_db": gain_db, "mute": mute, "solo": False}


def karaoke() -> dict[str, Any]:
    """The karaoke pipeline in good health, one restart behind it."""
    inputs = {"vocals": fader(-3.0), "accompaniment": fader(), "mic": fader(mute=True)}
    live = [f"inputs.{name}.{what}" for name in inputs for what in ("gain_db", "mute", "solo")]
    separator_ms = {"window": 92.9, "lookahead": 92.9, "hop": 185.8, "compute": 64.0, "total": 435.6}
    return {
        "name": "karaoke",
        "run": "karaoke-1-abc",
        "revision": 7,
        "uptime_s": 83.4,
        "rate": RATE,
        "frame_samples": 441,
        "live": True,
        "position": 3_675_735,
        "clock": {"master": "host", "ppm": 0.0},
        "folder": "takes/karaoke",
        "ended": False,
        "progress": 0.0,
        "nodes": {
            "song": node(
                "file_source",
                levels_db={"out": [-3.1, -14.2]},
                settings={"path": "demo", "loop": True},
                live=["loop"],
            ),
            "split": node(
                "separate",
                cpu=0.91,
                busy=0.58,
                rss_mb=412.0,
                restarts=1,
                latency_ms=separator_ms,
                levels_db={"vocals": [-6.4, -18.9], "accompaniment": [-5.2, -16.0]},
                counters={"missed_deadlines": 2, "inferences": 412},
                settings={"mode": "balanced", "residual": True, "hop_frames": 16},
            ),
            "mic": node("capture", state="absent", note="no sound card", settings={"device": ""}),
            "mix": node(
                "mixer",
                levels_db={"out": [-4.0, -15.5]},
                settings={"inputs": inputs, "gain_db": 0.0},
                live=[*live, "gain_db"],
            ),
            "rec": node(
                "recorder",
                levels_db={"vocals": [-6.4, -18.9], "accompaniment": [-5.2, -16.0], "mix": [-4.0, -15.5]},
            ),
            "out": node("playback", levels_db={"in": [-4.0, -15.5]}, latency_ms={"total": 21.3}),
        },
        "links": [
            link("song.out", "split.in", "block", 500.0, typical_ms=1.2),
            link(
                "song.out",
                "mix.dry",
                "drop_oldest",
                700.0,
                queued=42,
                in_flight=2,
                typical_ms=440.0,
                age_ms={"p50": 441.0, "p99": 452.0, "max": 461.0},
            ),
            link(
                "split.vocals",
                "mix.vocals",
                budget_ms=700.0,
                typical_ms=62.0,
                dropped={"stale": 2},
                delivered=8338,
            ),
            link("split.accompaniment", "mix.accompaniment", budget_ms=700.0, typical_ms=62.0),
            link("mic.out", "mix.mic", budget_ms=25.0, offered=0, delivered=0, in_flight=0, typical_ms=3.0),
            link("mix.out", "rec.mix", "block", 10_000.0, typical_ms=5.0),
            link("mix.out", "out.in", budget_ms=60.0, typical_ms=2.2),
        ],
        "paths": [
            {**path(mic=10.0, mix=10.0, out=21.3), "budget_ms": 25.0, "monitor": True},
            path(song=10.0, split=446.6, mix=9.1, out=21.3),
        ],
        "transport": {
            "song": {
                "playing": True,
                "media_s": 7.2,
                "length_s": 10.9,
                "media_id": "audio_example.mp3",
                "loop": True,
            }
        },
        "incidents": [
            {
                "time_s": 31.8,
                "node": "split",
                "pid": 77,
                "incarnation": 0,
                "cause": "killed by signal 9, restarted in 640 ms",
                "log": [
                    "warm-up: 43 ms an inference, hop 16",
                    "READY after 620 ms",
                ],
            }
        ],
        "log": [
            "split died (killed by signal 9), restarting",
            "mic: no sound card, the mixer hears silence there",
            "split: hop 16, 58 % of two cores",
            "rec: writing takes/karaoke/mix.wav",
        ],
    }


class FakeSubscription:
    """Pushes everything each time it was emptied."""

    def __init__(self, client: FakeClient, topics: Sequence[str]) -> None:
        self._client, self._topics, self._number = client, topics, 0
        self._waiting: list[tuple[str, Any]] = []
        self._empty = True

    @property
    def ended(self) -> bool:
        return bool(self._client.current["ended"])

    def take(self, timeout_s: float) -> Push | None:
        self._client.check()
        if self._empty:
            self._waiting = [(topic, self._data(topic)) for topic in self._topics]
        self._empty = not self._waiting
        if self._empty:
            return None
        self._number += 1
        topic, data = self._waiting.pop(0)
        return Push(1, self._number, topic, data)

    def _data(self, topic: str) -> Any:
        if topic == EVENTS:
            told, self._client.told = self._client.told, []
            return EventBatch(1, tuple(told))
        made = {GRAPH: description_of, METERS: meters_of, LEDGER: ledger_of}[topic]
        return made(whole(self._client.current))

    def close(self) -> None:
        """Nothing is open."""


def full(state: dict[str, Any]) -> State:
    """A plain state as a client fetches it."""
    found = whole(state)
    return State(description_of(found), meters_of(found), ledger_of(found))


def screen(state: dict[str, Any]) -> ScreenState:
    """A plain state as a screen gets it."""
    found = whole(state)
    return ScreenState(description_of(found), meters_of(found), tuple(found["log"]))


def whole(state: dict[str, Any]) -> dict[str, Any]:
    """A state with all keys that a pipeline has."""
    found = copy.deepcopy(state)
    for node in found["nodes"].values():
        own = {"process": "", "outputs": [], "events": [], "event_inputs": [], "disk_wait_s": 0.0, "printed": ""}
        node.update({key: value for key, value in own.items() if key not in node})
    for link in found["links"]:
        link.update({"standby": False, "worst": None})
    for path in found["paths"]:
        path.update({"stated_ms": path.get("stated_ms", path["total_ms"]), "measured": path.get("measured")})
    more = {"graph_revision": 1, "former_links": [], "taps": [], "incident_count": len(found["incidents"])}
    return {**more, **found}


class FakeClient:
    """Serves one state, applies `set` and transport to it, and keeps what was asked."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.current = state or karaoke()
        self.asked: list[tuple[Any, ...]] = []
        self.refuses = False
        self.told: list[Event] = [
            LogEvent(time_s=31.8, message="split died (killed by signal 9), restarting"),
            NodeEvent(time_s=31.9, kind="level", node="meter", position=1, data={}),
        ]

    def describe(self) -> Description:
        self._check()
        return full(self.current).description

    def meters(self) -> Meters:
        self._check()
        return full(self.current).meters

    def ledger(self) -> Ledger:
        self._check()
        return full(self.current).ledger

    def subscribe(self, topics: Sequence[str], every_ms: int, since: int | None) -> FakeSubscription:
        self._check()
        return FakeSubscription(self, topics)

    def check(self) -> None:
        """Raises what a client raises while the pipeline does not answer."""
        self._check()

    def set(self, node: str, name: str, value: Any, at: float | None = None, *, typed: str | None = None) -> SetReply:
        self._check()
        self.asked.append(("set", node, name, value))
        *path, last = name.split(".")
        settings = self.current["nodes"][node]["settings"]
        for key in path:
            settings = settings[key]
        settings[last] = value
        return SetReply(48_000, 41.0)

    def transport(self, node: str, command: str, **args: Any) -> dict[str, Any]:
        self._check()
        self.asked.append((command, node, args))
        return {}

    def stop(self) -> None:
        self.current["ended"] = True

    def close(self) -> None:
        self.asked.append(("close",))

    def _check(self) -> None:
        if self.refuses:
            raise ControlError("pipeline 'karaoke' does not answer")
