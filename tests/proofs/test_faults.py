"""`kill -9` of each node of a playing karaoke pipeline: what is heard, what is kept, what is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from audio_pipeline.files import wav, wav_part
from audio_pipeline.host import runtime
from tests.proofs.live import NO_CARD, Pipeline, db, running, silent_runs_ms

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
FRAME_MS = 10
MIXER_GAP_MS = 300
# none where there are cores to spare; on two, threads of light nodes wait up to 60 ms for a core while the successor
# loads its network, and the frame after that is late as well: 0 to 128 ms were seen, in one of two to six kills
CROWDED_MS = 150
VOICE_DB = -24.0


def test_kill_each_node_while_the_song_plays(tmp_path: Path, proof_scale: float) -> None:
    rounds = max(round(10 * proof_scale), 1)
    gaps: dict[str, list[float]] = {"split": [], "mix": [], "rec": []}
    with running("karaoke", tmp_path, NO_CARD) as pipeline:
        pipeline.until("the voice is separated", lambda s: s["nodes"]["mix"]["levels_db"]["out"][1] > -60)
        pipeline.client.set("mix", "inputs.vocals.gain_db", VOICE_DB)
        pipeline.play(3)
        for _ in range(rounds):
            for victim, found in gaps.items():
                found.append(_gap_ms(pipeline, victim))
        final = pipeline.finish()
        left = pipeline.leftovers()
    for victim, found in gaps.items():
        print(f"kill -9 {victim}: silence at the loudspeaker {', '.join(f'{gap:.0f}' for gap in found)} ms")
    assert max(gaps["split"]) <= CROWDED_MS, "the dry song stands in for a dead separator"
    assert max(gaps["mix"]) <= MIXER_GAP_MS
    assert max(gaps["rec"]) == 0, "a dead recorder is nobody else's business"
    assert final["nodes"]["speaker"]["counters"]["stream_opens"] == 1, "playback's stream never closes"
    assert final["nodes"]["mix"]["settings"]["inputs"]["vocals"]["gain_db"] == VOICE_DB
    assert all(link["balanced"] for link in final["links"]), "every frame is accounted for"
    assert not left, f"processes left behind: {left}"
    _check_recording(tmp_path)


def _gap_ms(pipeline: Pipeline, victim: str) -> float:
    """Silence that playback had to put in because of this death."""
    before = pipeline.state()["nodes"]["speaker"]["counters"].get("concealed_samples", 0)
    pipeline.kill(victim)
    state = pipeline.play(4)
    after = state["nodes"]["speaker"]["counters"].get("concealed_samples", 0)
    return (after - before) / state["rate"] * 1000


def _check_recording(folder: Path) -> None:
    tracks = {name: soundfile.read(folder / f"{name}.wav") for name in ("mix", "vocals", "accompaniment")}
    mix, vocals, band = (tracks[name][0] for name in ("mix", "vocals", "accompaniment"))
    rate = tracks["mix"][1]
    assert len(mix) == len(vocals) == len(band), "tracks line up"
    after_fade = slice(4 * rate, None)
    wanted = band + vocals * 10 ** (VOICE_DB / 20)
    heard = np.abs(wanted) < 0.99  # the mix is clipped at full scale, the tracks are not
    rest = np.where(heard, mix - wanted, 0)[after_fade]
    assert db(rest) < db(mix[after_fade]) - 60, "the fader stayed where it was through every restart"
    assert max(silent_runs_ms(mix[after_fade], rate), default=0) <= MIXER_GAP_MS + FRAME_MS


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """The kernel ends the nodes with their parent; the next start sweeps what lies about."""
    command = [sys.executable, "-m", "audio_pipeline", "run", "karaoke", "--no-view", "--folder", str(tmp_path)]
    with subprocess.Popen([*command, "--set", *NO_CARD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        seconds = iter(parent.stdout.readline, "")
        next(line for line in seconds if float(line.split(" s ")[0]) > 2)  # a line a second, once it plays
        workers = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert workers and not alive, "no process lives two seconds after its supervisor"
    left = [run for run in runtime.base_dir().iterdir() if str(parent.pid) in run.name]
    assert left, "a killed supervisor cannot clean up"
    runtime.sweep()
    assert not any(run.exists() for run in left), "the next start does"
    repaired = {path: wav.repair(path).samples for path in wav_part.scan(tmp_path)}
    print(f"recordings kept: { {path.name: samples for path, samples in repaired.items()} }")
    assert len(repaired) == 3
