"""Bad input through the command line: one sentence that names it, the exit code of its cause, nothing left behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.cli.main import main
from tests.leftovers import leftovers
from tests.patience import PATIENCE_S
from tests.shared import ROOT

pytestmark = pytest.mark.slow
RATE = 44_100
COPY = f"""
version: 1
name: copy
rate: {RATE}
node_paths: [kinds]
nodes:
  song: {{kind: file_source, path: song.wav}}
  rec: {{kind: recorder, subtype: float32, inputs: {{track: {{from: song, policy: block}}}}}}
"""
THROUGH = COPY.replace("{from: song,", "{from: bad,").replace("  rec:", "  bad: {kind: bad, in: song}\n  rec:")
KIND = '''
"""A filter that does what its setting says at the worst moment."""
import time
from dataclasses import dataclass
from audio_pipeline.errors import ConfigError
from audio_pipeline.node import Filter
from audio_pipeline.settings import setting

@dataclass(frozen=True)
class Settings:
    at: str = setting("open", "where it happens")

class Bad(Filter):
    """Fails."""
    Settings = Settings

    def open(self, ctx):
        if self.settings.at == "open": raise ValueError("shapes (2,) and (3,) differ")
        if self.settings.at == "refuse": raise ConfigError(f"this model needs 16000 Hz, the graph has {ctx.rate} Hz")
        if self.settings.at == "hang": time.sleep(1000)

    def filter(self, x):
        if self.settings.at == "process": raise ValueError("shapes (2,) and (3,) differ")
        if self.settings.at == "slow": time.sleep(0.0 if vars(self).setdefault("slept", False) else 3.0)
        self.slept = True
        return x

NODE = Bad
'''


@dataclass(frozen=True)
class Outcome:
    """How a command line ended."""

    code: int
    said: str  # on standard error
    shown: str  # on standard output


class Command:
    """`run_pipeline.py` in a folder of its own, with a private folder for its sockets."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder, self.runtime = folder, runtime

    def run(
        self,
        *words: str,
        text: str = COPY,
        entry: tuple[str, ...] = (str(ROOT / "run_pipeline.py"),),
        env: Mapping[str, str] | None = None,
        file_bytes: int = resource.RLIM_INFINITY,
    ) -> Outcome:
        """Runs `text` to its end; nothing of it may be left. `file_bytes` is the largest file the disk takes."""
        (self.folder / "copy.yaml").write_text(text)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        done = subprocess.run(
            [sys.executable, *entry, "copy.yaml", "--folder", "take", *words],
            cwd=self.folder,
            env={**os.environ, **(env or {}), "XDG_RUNTIME_DIR": str(self.runtime)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard)),
        )
        assert not leftovers(self.runtime)
        assert "Traceback" not in done.stderr + done.stdout
        return Outcome(done.returncode, done.stderr, done.stdout)

    def track(self) -> tuple[np.ndarray, int]:
        """What was recorded: (samples, channels), and its rate."""
        samples, rate = soundfile.read(self.folder / "take" / "track.wav", always_2d=True)
        return samples, rate


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """The command line, a song of a second, and a node kind that fails when told."""
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "bad.py").write_text(KIND)
    soundfile.write(tmp_path / "song.wav", tone(RATE, 2), RATE)
    with tempfile.TemporaryDirectory(prefix="ap-") as runtime:  # short: socket paths hold 107 characters
        yield Command(tmp_path, Path(runtime))


def tone(rate: int, channels: int, seconds: float = 1.0) -> np.ndarray:
    """440 Hz at -6 dBFS on every channel."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def one_sentence(outcome: Outcome, code: int, *parts: str) -> None:
    """Exactly one line of error, with everything in it that helps."""
    assert outcome.said.startswith("audio-pipeline: ") and outcome.said.count("\n") == 1, outcome.said
    missing = [part for part in parts if part not in outcome.said]
    assert not missing, f"{outcome.said!r} lacks {missing}"
    assert outcome.code == code


# -- songs that are none -------------------------------------------------------------------------------------


NO_SONGS = {
    "nowhere.mp3": (None, "No such file"),
    "random.mp3": (np.random.default_rng(7).bytes(200_000), "no sound"),
    "words.wav": (b"these are words, not sound\n" * 50, "not a sound file"),
    "empty.flac": (b"", "is empty"),
    "kinds": (None, "is a folder"),
}


@pytest.mark.parametrize("name", NO_SONGS)
def test_what_is_no_song_is_named_with_the_reason(name: str, command: Command) -> None:
    content, reason = NO_SONGS[name]
    if content is not None:
        (command.folder / name).write_bytes(content)
    outcome = command.run("--offline", "--set", f"nodes.song.path={name}")
    one_sentence(outcome, 3, "'song'", name, reason)


def test_a_song_that_breaks_off_plays_as_far_as_it_goes_and_says_so(command: Command) -> None:
    flac = command.folder / "song.flac"
    soundfile.write(flac, tone(RATE, 2, 3.0) + np.random.default_rng(7).normal(0, 0.01, (3 * RATE, 2)), RATE)
    data = bytearray(flac.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    flac.write_bytes(data)
    outcome = command.run("--offline", "--set", "nodes.song.path=song.flac")
    samples, rate = command.track()
    assert outcome.code == 0
    assert "song.flac: ends at 1." in outcome.shown + outcome.said
    assert 1.0 < len(samples) / rate < 2.0, "it ends where the damage begins"


# -- songs that are odd ---------------------------------------------------------------------------------------


def test_eight_bit_mono_at_22_khz_comes_out_as_stereo_at_the_rate_of_the_graph(command: Command) -> None:
    soundfile.write(command.folder / "old.wav", tone(22_050, 1), 22_050, subtype="PCM_U8")
    outcome = command.run("--offline", "--set", "nodes.song.path=old.wav")
    samples, rate = command.track()
    assert (outcome.code, outcome.said, rate, samples.shape) == (0, "", RATE, (RATE, 2))
    inner = samples[2000:-2000] - tone(RATE, 2)[2000:-2000]
    assert np.std(inner) < 0.003, "8 bits are 1/128 a step: noise of 0.0023 RMS, and nothing else"


def test_surround_is_mixed_to_stereo(command: Command) -> None:
    """ITU-R BS.775: each front channel alone is heard on its side, the centre on both, nothing is lost."""
    x = np.zeros((RATE, 6))
    x[:, 2] = tone(RATE, 1)[:, 0]
    soundfile.write(command.folder / "film.wav", x, RATE)
    outcome = command.run("--offline", "--set", "nodes.song.path=film.wav")
    samples, _ = command.track()
    assert (outcome.code, outcome.said, samples.shape) == (0, "", (RATE, 2))
    levels = np.sqrt(np.mean(samples**2, axis=0))
    assert levels[0] == pytest.approx(levels[1], rel=1e-4)
    assert levels.min() > 0.05, "the centre carries the voice"


def test_nan_and_infinities_become_silence_and_are_counted(command: Command) -> None:
    x = tone(RATE, 2).astype(np.float32)
    x[1000, 0], x[2000, 1], x[3000:3010] = np.nan, np.inf, -np.inf
    soundfile.write(command.folder / "song.wav", x, RATE, subtype="FLOAT")
    outcome = command.run("--offline")
    samples, _ = command.track()
    assert outcome.code == 0
    assert (outcome.shown + outcome.said).count("song.wav: holds NaN or infinities, which are played as silence") == 1
    assert np.array_equal(samples, np.where(np.isfinite(x), x, 0))
    assert "bad samples 22" in (command.folder / "take" / "report.html").read_text(), "the report shows the count"


def test_silence_is_silence(command: Command) -> None:
    soundfile.write(command.folder / "song.wav", np.zeros((RATE, 2)), RATE)
    outcome = command.run("--offline")
    samples, _ = command.track()
    assert (outcome.code, outcome.said, samples.shape) == (0, "", (RATE, 2))
    assert not samples.any()


def test_an_hour_of_silence_starts_at_once(command: Command) -> None:
    song, hour = command.folder / "song.wav", 3600 * RATE * 4
    soundfile.write(song, np.zeros((RATE, 2)), RATE, subtype="PCM_16")
    header = bytearray(song.read_bytes()[:44])
    header[4:8], header[40:44] = (hour + 36).to_bytes(4, "little"), hour.to_bytes(4, "little")
    song.write_bytes(header)
    os.truncate(song, hour + 44)  # sparse: it takes no room
    outcome = command.run("--duration", "1")
    samples, _ = command.track()
    assert (outcome.code, outcome.said) == (0, "")
    assert RATE // 2 < len(samples) < 5 * RATE and not samples.any()


# -- pipelines that cannot be --------------------------------------------------------------------------------

MIX = "  mix: {kind: mixer, inputs: {a: {from: song, on_loss: silence}, b: {from: LOOP, on_loss: silence}}}\n"
LOOPED = COPY.replace("  rec:", MIX.replace("LOOP", "level") + "  level: {kind: meter, in: mix}\n  rec:")
TWO_CARDS = """
version: 1
nodes:
  mic: {kind: capture, device: hw1}
  speaker: {kind: playback, device: hw2, in: {from: mic, on_loss: silence}}
"""
VAD = "  vad: {kind: vad, engine: webrtc, in: song}\n  level: {kind: meter, in: vad.speech}\n  rec:"
PIPELINES = {
    "unknown kind": (COPY.replace("file_source", "fil_source"), ["nodes.song.kind", "'fil_source'", "'file_source'"]),
    "unknown key": (COPY.replace("path:", "pth:"), ["nodes.song.pth", "did you mean 'path'", "copy.yaml:7"]),
    "unknown node": (COPY.replace("from: song", "from: sonk"), ["nodes.rec.inputs.track", "'sonk'", "'song'"]),
    "unknown port": (COPY.replace("from: song", "from: song.mapp"), ["'song'", "'mapp'", "did you mean 'map'"]),
    "unknown policy": (COPY.replace("block", "blok"), ["nodes.rec.inputs.track.policy", "'blok'", "'block'"]),
    "wrong type": (COPY.replace("path: song.wav", "loop: maybe"), ["nodes.song.loop", "true or false", "'maybe'"]),
    "out of range": (COPY.replace(f"rate: {RATE}", "rate: 44"), ["rate", "44", "8000"]),
    "no version": (COPY.replace("version: 1", ""), ["version", "missing", "expected 1"]),
    "other version": (COPY.replace("version: 1", "version: 2"), ["version", "expected one of 1", "got 2"]),
    "no YAML": (COPY.replace("{kind: file_source", "{kind: [file_source"), ["copy.yaml:", "not valid YAML"]),
    "no map": ("- just\n- a list\n", ["copy.yaml", "expected a map", "list"]),
    "cycle": (LOOPED, ["cycle through mix, level", "copy.yaml:"]),
    "two clocks": (TWO_CARDS, ["two clock masters", "mic (device:hw1)", "speaker (device:hw2)"]),
    "events as sound": (COPY.replace("  rec:", VAD), ["vad.speech carries events", "meter expects sound"]),
    "no on_loss": (TWO_CARDS.replace(", on_loss: silence", "").replace("hw2", "hw1"), ["on_loss", "nodes.speaker"]),
}


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline_that_cannot_be_says_key_value_and_expectation(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, parts = PIPELINES[case]
    monkeypatch.chdir(tmp_path)
    Path("copy.yaml").write_text(text, encoding="utf-8")
    code = main(["copy.yaml", "--folder", "take"])  # no process is started, so none is needed for the test
    shown = capsys.readouterr()
    one_sentence(Outcome(code, shown.err, shown.out), 2, *parts)
    assert not Path("take").exists(), "no folder for what never ran"


# -- nodes that fail -----------------------------------------------------------------------------------------


def test_a_node_that_hangs_in_start_up_is_ended_and_named(command: Command) -> None:
    words = ("--offline", "--set", "nodes.bad.at=hang", "--set", "nodes.bad.start_s=6")
    outcome = command.run(*words, text=THROUGH)
    one_sentence(outcome, 6, "'bad'", "did not start within 6 s")


@pytest.mark.parametrize("mode", ["--offline", "--no-view"])
def test_a_node_that_crashes_in_start_up_is_named(mode: str, command: Command) -> None:
    outcome = command.run(mode, "--set", "nodes.bad.at=open", text=THROUGH)
    one_sentence(outcome, 6, "'bad'", "shapes (2,) and (3,) differ")


def test_a_node_that_refuses_says_why(command: Command) -> None:
    outcome = command.run("--set", "nodes.bad.at=refuse", text=THROUGH)
    one_sentence(outcome, 2, "'bad'", f"this model needs 16000 Hz, the graph has {RATE} Hz")


def test_offline_a_crash_ends_the_run_since_nothing_may_be_lost(command: Command) -> None:
    outcome = command.run("--offline", "--set", "nodes.bad.at=process", text=THROUGH)
    one_sentence(outcome, 6, "'bad'", "shapes (2,) and (3,) differ")


def test_offline_a_step_may_take_long(command: Command) -> None:
    outcome = command.run("--offline", "--set", "nodes.bad.at=slow", text=THROUGH)
    assert (outcome.code, outcome.said) == (0, "")
    assert np.allclose(command.track()[0], tone(RATE, 2), atol=1e-4), "nothing is lost"


def test_live_a_crash_is_said_and_the_rest_goes_on(command: Command) -> None:
    both = THROUGH.replace("inputs: {", "inputs: {dry: {from: song, policy: block}, ")
    words = ("--duration", "2", "--set", "nodes.bad.at=process", "--set", "nodes.song.loop=true")
    outcome = command.run(*words, text=both)
    dry, rate = soundfile.read(command.folder / "take" / "dry.wav")
    assert outcome.code == 0
    assert "bad died (ValueError: shapes (2,) and (3,) differ), restarting" in outcome.shown + outcome.said
    assert len(dry) > rate and np.sqrt(np.mean(dry**2)) > 0.3, "the song itself is recorded on"


def test_no_sound_card_is_one_sentence(command: Command) -> None:
    text = TWO_CARDS.replace("hw1", "nowhere").replace("hw2", "nowhere")
    outcome = command.run("--duration", "1", text=text)
    one_sentence(outcome, 4, "node '", "sound")


# -- the world around ----------------------------------------------------------------------------------------


def test_weights_that_cannot_be_fetched_are_named_with_the_way_out(command: Command) -> None:
    env = {
        "AUDIO_PIPELINE_CACHE": str(command.folder / "cache"),
        "AUDIO_PIPELINE_MODELS": "",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
    }
    outcome = command.run("--offline", text=COPY.replace("song.wav", "demo"), env=env)
    one_sentence(outcome, 5, "'demo-song'", "could not be fetched", "audio-pipeline models fetch demo-song")


def test_a_full_disk_offline_ends_the_run_and_keeps_what_fits(command: Command) -> None:
    soundfile.write(command.folder / "song.wav", tone(RATE, 2, 4.0), RATE)
    outcome = command.run("--offline", file_bytes=1 << 20)
    samples, rate = command.track()
    one_sentence(outcome, 1, "'rec'", "track.wav", "File too large")
    assert 1.0 < len(samples) / rate < 4.0


def test_a_full_disk_live_is_said_and_the_music_goes_on(command: Command) -> None:
    text = COPY + "  speaker: {kind: playback, device: null, in: {from: song, on_loss: silence}}\n"
    outcome = command.run("--duration", "3", "--set", "nodes.song.loop=true", text=text, file_bytes=1 << 19)
    samples, rate = command.track()
    assert "File too large" in outcome.shown + outcome.said and "the others continue" in outcome.shown + outcome.said
    assert 0.5 < len(samples) / rate < 2.0


@pytest.mark.parametrize("folder", ["song.wav", "song.wav/inside"])
def test_a_folder_that_cannot_be_made_is_named(folder: str, command: Command) -> None:
    one_sentence(command.run("--offline", "--folder", folder), 2, folder, "folder")
