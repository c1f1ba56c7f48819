"""Random deaths and freezes of every node while a song plays and is recorded."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.control.events import NodeEvent
from audio_pipeline.dsp.ramp import db_to_gain
from tests.proofs.chaos import Chaos, draw, seed
from tests.proofs.live import NO_CARD, Pipeline, State, running
from tests.proofs.recording import Recorded, played, recorded

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
CONFIGS = Path(__file__).parents[2] / "configs"
RATE = 44_100
SONG_S = 23  # prime to whatever else repeats
VOICE_DB = -24.0
ANCHOR_S = 2.0  # a song that is back waits so long at most until all that is made of it is there
NODES = ("song", "split", "mix", "speaker", "rec")
BUDGETS_S = {"song": 1.5, "mix": 1.5, "speaker": 1.5, "rec": 1.5, "split": 6.0}
DRY = "      dry: { from: song, policy: block }\n"


@dataclass
class Stage:
    """What a chaotic run left."""

    chaos: Chaos
    final: State
    maps: list[NodeEvent]
    folder: Path
    song: np.ndarray[Any, np.dtype[np.float32]]
    fader_from: int  # position in the mix
    left: set[int]
    held: dict[str, int]  # by link: frames that a producer may hold in its queue


def _song(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    x = np.random.default_rng(5).standard_normal((SONG_S * RATE, 2)).astype(np.float32) * np.float32(0.1)
    soundfile.write(path, x, RATE, "FLOAT")
    return x


def _config(folder: Path, light: bool) -> Path:
    """The karaoke that ships, with one track more: the song as it is sent. Light: without the network's work."""
    text = (CONFIGS / "karaoke.yaml").read_text().rstrip("\n") + "\n" + DRY
    if light:
        text = text.replace("kind: separate\n    mode: balanced", "kind: halves\n    #")
        text = text.replace("rate: 44100", f'rate: 44100\nnode_paths: ["{Path(__file__).parent / "kinds"}"]')
    path = folder / "karaoke.yaml"
    path.write_text(text)
    return path


def _play(tmp_path: Path, count: int, light: bool) -> Stage:
    number = seed()
    rng = random.Random(number)
    print(f"AUDIO_PIPELINE_SEED={number}")
    song = _song(tmp_path / "song.wav")
    sets = [*NO_CARD, f"nodes.song.path={tmp_path / 'song.wav'}", "nodes.rec.subtype=float32"]
    with running(_config(tmp_path, light), tmp_path / "take", sets) as pipeline:
        pipeline.until("the voice is separated", lambda s: s["nodes"]["mix"]["levels_db"]["out"][1] > -60)
        fader = pipeline.client.set("mix", "inputs.vocals.gain_db", VOICE_DB).position
        pipeline.play(1)
        maps, chaos = Maps(pipeline), Chaos(pipeline)
        for fault in draw(rng, NODES, count):
            chaos.strike(fault)
            pipeline.play(rng.uniform(0.2, 2.5))
            maps.look()
        pipeline.play(3)
        maps.look()
        final = pipeline.finish()
        left = pipeline.leftovers()
        held = {str(link.target): link.queue for link in pipeline.supervisor.parts.state.plan.links}
    return Stage(chaos, final, maps.found, tmp_path / "take", song, fader, left, held)


class Maps:
    """The song's `media` events, collected while it plays."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._client = pipeline.client
        self.found: list[NodeEvent] = []
        self.look()

    def look(self) -> None:
        self.found += [
            event for event in self._client.events() if isinstance(event, NodeEvent) and event.kind == "media"
        ]


@pytest.mark.parametrize("light", [True, False], ids=["light", "karaoke"])
def test_whatever_dies_the_music_goes_on_and_the_recording_is_true(
    light: bool, tmp_path: Path, proof_scale: float
) -> None:
    stage = _play(tmp_path, max(round(200 * proof_scale), 6), light)
    for line in stage.chaos.lines(BUDGETS_S):
        print(line)
    _check_lives(stage)
    _check_ledgers(stage)
    _check_dry(stage)
    _check_mix(stage)
    slow = stage.chaos.too_slow(BUDGETS_S)
    assert not slow, f"over budget: {slow}"
    assert not stage.left, f"processes left behind: {stage.left}"


def _check_lives(stage: Stage) -> None:
    """Who was hit died, nobody else; playback opens its stream once a life."""
    deaths, nodes = stage.chaos.deaths(), stage.final["nodes"]
    restarts = {name: nodes[name]["restarts"] for name in NODES}
    counters = nodes["speaker"]["counters"]
    print(
        f"deaths {deaths}; playback: {counters['stream_opens']} streams opened, {counters['xruns']} xruns, "
        f"{counters['gaps']} gaps, {counters['concealed_samples'] / RATE * 1000:.0f} ms concealed"
    )
    strays = [i for i in stage.final["incidents"] if i["pid"] not in stage.chaos.hit]
    assert not strays, f"died although nobody touched them: {strays}"
    assert restarts == {name: deaths.get(name, 0) for name in NODES}
    assert counters["stream_opens"] <= 1 + deaths.get("speaker", 0), "a stream was closed while playback lived"
    assert nodes["mix"]["settings"]["inputs"]["vocals"]["gain_db"] == VOICE_DB


def _check_ledgers(stage: Stage) -> None:
    """What went down with a process is no more than it can have held."""
    deaths = stage.chaos.deaths()
    for link in stage.final["links"]:
        node, taker = link["from"].split(".")[0], link["to"].split(".")[0]
        lost = link["dropped"].get("peer_died", 0)
        window = link["window"] + 1
        held = deaths.get(node, 0) * (window + stage.held[link["to"]]) + deaths.get(taker, 0) * window
        sum_ = link["delivered"] + sum(link["dropped"].values()) + link["queued"] + link["in_flight"]
        said = {key: value for key, value in link.items() if key != "age_histogram"}
        assert link["balanced"] and sum_ == link["offered"], f"deaths {deaths}: {said}"
        assert lost <= held, f"{link['from']} > {link['to']}: {lost} frames lost, at most {held} can be"
    print(f"{len(stage.final['links'])} links balance, {sum(link['offered'] for link in stage.final['links'])} frames")


def _check_dry(stage: Stage) -> None:
    """The song as sent, bit by bit, but for what the recorder says is missing."""
    track = recorded(stage.folder, "dry")
    wanted = played(track.positions, stage.maps, stage.song, RATE)
    wrong = (track.audio != wanted).any(axis=1) & ~track.stated
    lost_ms = [gap["samples"] / RATE * 1000 for gap in track.gaps]
    print(
        f"dry track: {len(track.audio) / RATE:.1f} s, {len(lost_ms)} stated gaps of {max(lost_ms, default=0):.0f} ms "
        f"at most, {int(wrong.sum())} samples beside them differ from the song"
    )
    assert not wrong.any(), f"first at file sample {int(wrong.argmax())} of {len(wrong)}"
    assert len(track.gaps) <= stage.chaos.deaths().get("song", 0), "only the song's own deaths cost the dry track sound"


def _check_mix(stage: Stage) -> None:
    """The mix is voice x fader + band wherever all three were recorded; silence is stated."""
    tracks = {name: recorded(stage.folder, name) for name in ("mix", "vocals", "accompaniment")}
    mix, vocals, band = (_aligned(track, tracks) for track in tracks.values())
    whole = ~(mix.stated | vocals.stated | band.stated) & (mix.positions > stage.fader_from + RATE // 10)
    rest = np.abs(mix.audio - vocals.audio * np.float32(db_to_gain(VOICE_DB)) - band.audio).max(axis=1)
    silent = mix.after(stage.fader_from).unstated_silence(RATE // 50)  # before that nobody had begun to play
    songs = [outcome for outcome in stage.chaos.outcomes if outcome.fault.node == "song"]
    songless_s = sum(song.back_s + song.fault.seconds + ANCHOR_S for song in songs)
    print(
        f"mix: {len(mix.audio) / RATE:.1f} s, {mix.stated.sum() / RATE * 1000:.0f} ms stated as missing, "
        f"{mix.concealed.sum() / RATE * 1000:.0f} ms as made up, "
        f"{silent / RATE * 1000:.0f} ms of unstated silence; off from voice x fader + band by at most "
        f"{rest[whole].max():.2g}"
    )
    assert rest[whole].max() < 1e-5, "the fader stayed where it was"
    assert silent <= songless_s * RATE, "without a song there is silence, else it is stated"


def _aligned(track: Recorded, tracks: Mapping[str, Recorded]) -> Recorded:
    """The part of a track that all have."""
    first = max(int(other.positions[0]) for other in tracks.values())
    last = min(int(other.positions[-1]) for other in tracks.values())
    return track.between(first, last + 1)
