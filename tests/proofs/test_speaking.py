"""A voice in a running pipeline: how soon it is heard, and how soon it stops, at the loudspeaker's own samples."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.control.events import NodeEvent
from audio_pipeline.models.weights import store
from tests.proofs.live import Pipeline, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
KINDS = Path(__file__).parent / "kinds"
SILENT_MS, FIRST_MS = 100, 800
END_MS = 1.5
FLOOR = 10 ** (-60 / 20)
STEP = 0.02  # of full scale, where the fade has ended: a click would be more
LONG = "One two three four five six seven eight nine ten. " * 8
GRAPH = """
version: 1
node_paths: [{kinds}]
nodes:
  voice: {{kind: tts, voice: {voice}}}
  speaker: {{kind: playback, device: "null", in: {{from: voice, on_loss: silence}}}}
  ears: {{kind: ears, in: {{from: speaker.reference, policy: block}}}}
"""


@pytest.mark.parametrize("voice", ["light", "jf_alpha"])
def test_cancel_is_silence_within_100_ms_and_nothing_old_comes_after(
    tmp_path: Path, proof_scale: float, voice: str
) -> None:
    for name in ("perth", *(("kokoro",) if voice != "light" else ())):
        if store.locate(name).folder is None:
            pytest.skip(f"the weights are not here (audio-pipeline models fetch {name})")
    rounds = max(round(20 * proof_scale), 2)
    (tmp_path / "speak.yaml").write_text(GRAPH.format(kinds=KINDS, voice=voice))
    with running(tmp_path / "speak.yaml", tmp_path) as pipeline:
        cancelled = [_say_and_cancel(pipeline, 0.3 + 0.17 * (number % 5)) for number in range(rounds)]
        pipeline.finish()
    heard = np.load(tmp_path / "heard.npz")
    spans = [_loud_ms(heard, start, end) for start, end in cancelled]
    stops = [stop for stop, _ in spans]
    print(
        f"{voice}, {rounds} times: silent {min(stops):.0f} to {max(stops):.0f} ms after cancel at the loudspeaker; "
        f"largest step at the end of the fade {max(step for _, step in spans):.4f} of full scale"
    )
    assert max(stops) <= SILENT_MS
    assert max(step for _, step in spans) < STEP


def _say_and_cancel(pipeline: Pipeline, after_s: float) -> tuple[int, int]:
    """Host times of the cancel and of the next text, between which nothing may be heard."""
    pipeline.client.events()
    pipeline.client.send("voice", "text", "text", text=LONG, end=True)
    _until_event(pipeline, "start")
    time.sleep(after_s)
    asked_ns = time.monotonic_ns()
    pipeline.client.transport("voice", "cancel")
    pipeline.play(1.5)  # a synthesis that went on would be heard
    return asked_ns, time.monotonic_ns()


def _until_event(pipeline: Pipeline, kind: str, timeout_s: float = 30.0) -> NodeEvent:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = [event for event in pipeline.client.events() if isinstance(event, NodeEvent) and event.kind == kind]
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"no {kind} within {timeout_s:g} s")


def _loud_ms(heard: Any, asked_ns: int, until_ns: int) -> tuple[float, float]:
    """When the last loud sample after a cancel was heard, in ms, and the largest step where the fade ends."""
    sound, ns = heard["sound"], heard["ns"]
    after = (ns >= asked_ns) & (ns < until_ns)
    loud = ns[after & (np.abs(sound) > FLOOR)]
    last_ns = int(loud[-1]) if len(loud) else asked_ns
    end = (ns > last_ns - round(END_MS * 1e6)) & (ns < last_ns + 20_000_000)
    return (last_ns - asked_ns) / 1e6, float(np.abs(np.diff(sound[end])).max(initial=0))


@pytest.mark.parametrize("voice", ["light", "jf_alpha"])
def test_the_first_word_is_heard_while_the_rest_is_being_written(
    tmp_path: Path, proof_scale: float, voice: str
) -> None:
    """`start` says after how long; the events say where each word is heard."""
    for name in ("perth", *(("kokoro",) if voice != "light" else ())):
        if store.locate(name).folder is None:
            pytest.skip(f"the weights are not here (audio-pipeline models fetch {name})")
    (tmp_path / "speak.yaml").write_text(GRAPH.format(kinds=KINDS, voice=voice))
    waits = []
    with running(tmp_path / "speak.yaml", tmp_path) as pipeline:
        for _ in range(max(round(20 * proof_scale), 2)):
            pipeline.client.events()
            pipeline.client.send("voice", "text", "text", text="Well, hello there. Three of us went to ")
            waits.append(_until_event(pipeline, "start").data["after_ms"])
            pipeline.client.send("voice", "text", "text", text="the old mill, because it rained.", end=True)
            _until_event(pipeline, "done")
        state = pipeline.finish()
    print(f"{voice}: the first sound {min(waits):.0f} to {max(waits):.0f} ms after the first words")
    assert max(waits) <= (FIRST_MS if proof_scale >= 1 else 5 * FIRST_MS)  # a share of it runs beside other tests
    assert state["nodes"]["voice"]["counters"].get("failures", 0) == 0
