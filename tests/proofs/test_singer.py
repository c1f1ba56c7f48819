"""A singer on another host: a real microphone there, `audio-pipeline client --mic`, and a studio that records it.

One sound card serves both: what the studio plays is what the singer's microphone hears. So a chirp goes out of the
studio's loudspeaker, into the microphone, through the encrypted link, and comes back as the sound of `remote_mic`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.devices.pulse import RATE, pulse
from tests.proofs.kinds.chirps import EVERY_SAMPLES
from tests.proofs.kinds.tape import Played
from tests.proofs.live import running
from tests.proofs.test_device import KINDS, SETTLED_S, found

__all__ = ["pulse"]
pytestmark = [pytest.mark.proof, pytest.mark.timeout(0), pytest.mark.usefixtures("pulse", "keys")]
STUDIO = f"""
version: 1
name: studio
rate: {RATE}
node_paths: ["{KINDS}"]
nodes:
  chirps: {{kind: chirps}}
  speaker: {{kind: playback, device: default, latency: high, in: {{from: chirps, on_loss: silence}}}}
  voice: {{kind: remote_mic}}
  tape: {{kind: tape, inputs: {{sent: chirps, heard: voice}}}}
  gateway: {{kind: gateway, listen: "tcp://127.0.0.1:0", key: studio}}
"""
LONGEST_MS = 400.0  # loudspeaker, microphone, jitter buffer: more is not the way but a fault


@contextmanager
def singer(port: int, folder: Path) -> Iterator[Path]:
    """The client as a person starts it; yields where its output is."""
    output = folder / "client.txt"
    words = ["client", f"127.0.0.1:{port}", "--key", "studio", "--own", "laptop", "--mic", "voice"]
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "audio_pipeline", *words], stdout=file, stderr=file, cwd=folder
        )
    try:
        yield output
    finally:
        process.terminate()
        code = process.wait(20)
    assert code == 0, output.read_text()


def returns(folder: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A row for each chirp: ms until the studio had it back, and how clearly."""
    sent, heard = (Played(folder / f"{name}.tape", RATE) for name in ("sent", "heard"))
    rows = []
    for begin in range(EVERY_SAMPLES, len(sent.sound) - RATE, EVERY_SAMPLES):
        sent_ns = sent.ns_at(begin)
        if sent_ns > heard.ns_at(SETTLED_S * RATE):
            heard_ns, clear = found(heard, sent_ns + LONGEST_MS / 2 * 1e6)
            rows.append(((heard_ns - sent_ns) / 1e6, clear))
    return np.array(rows)


def test_a_singer_is_heard_in_the_studio(private: Path, tmp_path: Path, proof_scale: float) -> None:
    file = tmp_path / "studio.yaml"
    file.write_text(STUDIO)
    with running(file, tmp_path) as studio:
        gateway = studio.until("the gateway is open", lambda s: s["nodes"]["gateway"]["gauges"].get("port"))
        with singer(int(gateway["nodes"]["gateway"]["gauges"]["port"]), tmp_path) as said:
            studio.until("the microphone is connected", lambda s: s["nodes"]["voice"]["gauges"].get("connected") == 1)
            state = studio.play(max(60 * proof_scale, 12))
        gauges = state["nodes"]["voice"]["gauges"]
        studio.finish()
    rows = returns(tmp_path)
    clear = rows[rows[:, 1] > 0.8]  # one whose delay slides while the buffer settles is bent a little
    last = said.read_text().splitlines()[-1]
    print(
        f"{len(clear)} of {len(rows)} chirps came back through loudspeaker, microphone and link after "
        f"{np.median(clear[:, 0]):.0f} ms ({clear[:, 0].min():.0f} to {clear[:, 0].max():.0f}); jitter buffer "
        f"{gauges['buffer_ms']:.0f} of {gauges['target_ms']:.0f} ms; the client says: {last}"
    )
    assert len(clear) >= 3 and len(clear) >= 0.8 * len(rows)
    assert 0 < np.median(clear[:, 0]) < LONGEST_MS
    assert "mic -> voice connected" in said.read_text()
