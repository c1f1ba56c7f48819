"""Networks that speak: their durations, their words, and how they are stopped."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from audio_pipeline.errors import ConfigError, NodeError, WeightsError
from audio_pipeline.models.speech import durations, kokoro
from audio_pipeline.models.speech import session as speech_session
from audio_pipeline.models.speech.clauses import Clause
from audio_pipeline.models.speech.engine import Array, Cancellable, Cancelled, Streaming, Timed
from audio_pipeline.models.speech.joins import NEAR_DB, Level, speech_db, spoken
from audio_pipeline.models.speech.light_voice import LightVoice
from audio_pipeline.models.speech.phonemes import joined, to_phonemes, to_tokens
from audio_pipeline.models.speech.session import SpeechSession, open_session
from audio_pipeline.models.speech.talker_pace import Pace
from audio_pipeline.models.speech.trim import StreamTrim
from audio_pipeline.models.voices import by_name
from audio_pipeline.models.weights import store

TEXT = "Well, hello there."


def toy(path: Path, clips: int = 1) -> Path:
    """frames = max(round(x), 1), as in the networks: x (signs,) to their sum."""
    nodes = [helper.make_node("Round", ["x"], ["r0"])]
    for i in range(clips):
        nodes.append(helper.make_node("Clip", [f"r{i}", "one"], [f"c{i}"]))
        nodes.append(helper.make_node("Round", [f"c{i}"], [f"r{i + 1}"]))
    nodes.append(helper.make_node("ReduceSum", ["c0" if clips else "r0"], ["total"]))
    floats = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])]
    total = [helper.make_tensor_value_info("total", TensorProto.FLOAT, None)]
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    graph = helper.make_graph(nodes, "toy", floats, total, [one])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_durations_come_out(tmp_path: Path) -> None:
    session = open_session(durations.with_durations(toy(tmp_path / "toy.onnx")))
    total, frames = session.run({"x": np.array([13.2, 0.1, 4.0, 9.0, 7.0], np.float32)})
    assert (float(total.squeeze()), list(frames)) == (34.0, [13, 1, 4, 9, 7])


@pytest.mark.parametrize("clips", [0, 2])
def test_a_network_that_is_built_otherwise_is_refused(tmp_path: Path, clips: int) -> None:
    with pytest.raises(WeightsError, match=f"expected one Clip behind a Round, the durations, found {clips}"):
        durations.with_durations(toy(tmp_path / "toy.onnx", clips))
    with pytest.raises(WeightsError, match="which Kokoro's vocoder is given"):
        durations.with_durations(toy(tmp_path / "toy.onnx"), cut=True)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([13, 2, 21, 7, 1], [8, 2, 16, 0, 0]),
        ([4, 2, 3, 7, 1], [4, 2, 3, 7, 1]),
        ([13, 5, 9, 8, 1], [8, 5, 9, 7, 0]),
    ],
)
def test_what_is_left_of_the_ends(frames: list[float], expected: list[float]) -> None:
    assert list(durations.kept(np.array(frames, np.float32), (8, 16))) == expected


def test_words_lie_where_their_signs_are() -> None:
    words = to_tokens("One, two.")
    signs = frozenset(joined(words))
    frames = np.ones(len(joined(words)) + 2, np.float32)
    found = durations.timings(words, signs, frames)
    assert [word.text for word in found] == ["One,", "two."]
    first, second = (len(word.phonemes) for word in words)
    early = durations.EARLY
    assert (found[0].start, found[0].end) == ((1 - early) * durations.FRAME, (1 + first - early) * durations.FRAME)
    assert found[1] == ("two.", (2 + first - early) * durations.FRAME, (2 + first + second - early) * durations.FRAME)


class Counting:
    """Stands in for Kokoro: a tenth of a second of sound for each piece, a frame for each sign."""

    signs = frozenset(map(chr, range(32, 0x2D0)))

    def __init__(self) -> None:
        self.given: list[str] = []

    def timed(self, phonemes: str, style: Array, speed: float) -> tuple[Array, Array]:
        self.given.append(phonemes)
        return np.ones(600 * (len(phonemes) + 2), np.float32), np.ones(len(phonemes) + 2, np.float32)


def test_a_text_of_more_phonemes_than_the_network_takes_is_said_to_its_end() -> None:
    network = Counting()
    voice = kokoro.KokoroVoice(network, np.zeros((1, 256), np.float32))  # type: ignore[arg-type]
    text = "Three of us went to the old mill, because it rained. " * 30
    speech = voice.timed(text)
    assert len(network.given) > 2 and max(map(len, network.given)) <= kokoro.ROWS
    assert " ".join(network.given) == to_phonemes(text)
    assert [word.text for word in speech.words] == text.split()
    starts = [word.start for word in speech.words]
    assert starts == sorted(starts) and speech.words[-1].end <= len(speech.sound)


def test_the_light_voice_sounds_as_its_package_and_knows_its_words() -> None:
    from hibari import Hibari

    speech = LightVoice().timed(TEXT)
    assert np.array_equal(speech.sound, Hibari().from_phonemes(to_phonemes(TEXT), 1.0, 0))
    assert [word.text for word in speech.words] == TEXT.split()
    peak = np.abs(speech.sound).max()
    for word in speech.words:
        assert np.abs(speech.sound[word.start : word.end]).max() > 0.1 * peak
    onset = int(np.flatnonzero(np.abs(speech.sound) > 0.05 * peak)[0])
    assert abs(speech.words[0].start - onset) <= 3 * durations.FRAME  # 75 ms: the network's own frames are 25


@pytest.mark.slow
def test_kokoro_sounds_as_published_but_for_its_ends() -> None:
    """Whole: bit for bit. Cut: it begins at the same moment and has the same spectrum, its phase is another.

    It is softer by up to 3 dB, since the vocoder normalises over time and has less silence to see; clauses are brought
    to one level afterwards.
    """
    if store.locate("kokoro").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch kokoro)")
    import json

    import onnxruntime

    model, pack = kokoro.load(), kokoro.load_pack("jf_alpha")
    phonemes = to_phonemes("Three of us went to the old mill.")
    style = kokoro.row(pack, len(phonemes))
    whole, long = model.timed(phonemes, style, whole=True)
    published = onnxruntime.InferenceSession(store.path("kokoro", kokoro.MODEL), providers=["CPUExecutionProvider"])
    vocabulary = json.loads(store.path("kokoro", kokoro.VOCABULARY).read_text())["vocab"]
    tokens = np.array([[0, *(vocabulary[sign] for sign in phonemes), 0]])
    feed = {"tokens": tokens, "style": style[None], "speed": np.ones(1, np.float32)}
    assert np.array_equal(published.run(None, feed)[0].ravel(), whole)

    cut, short = model.timed(phonemes, style)
    assert len(whole) == long.sum() * durations.FRAME and len(cut) == short.sum() * durations.FRAME
    dropped = int(long[0] - short[0]) * durations.FRAME
    assert len(whole) - len(cut) > 0.3 * kokoro.RATE
    onsets = [int(np.flatnonzero(np.abs(x) > 0.05 * np.abs(whole).max())[0]) for x in (whole, cut)]
    assert abs(onsets[1] + dropped - onsets[0]) <= 1.5 * durations.FRAME
    middle = slice(onsets[0], int(long[:-4].sum()) * durations.FRAME)
    a, b = whole[middle], cut[middle.start - dropped : middle.stop - dropped]
    assert abs(speech_db(b, 480) - speech_db(a, 480)) < 3  # type: ignore[operator]
    bands = 20 * np.log10(_spectrum(b) / _spectrum(a))
    assert np.std(bands) < 2.5


def _spectrum(x: Array) -> Any:
    """Power in 40 bands of the whole excerpt, as amplitude."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    return np.sqrt([band.sum() for band in np.array_split(power[: len(power) // 2], 40)])


class Answering:
    """Stands in for a session of ONNX Runtime."""

    def __init__(self, during: Any) -> None:
        self.during = during

    def run(self, wanted: None, feed: dict[str, Any], options: Any) -> list[Any]:
        self.during(options)
        return [np.zeros(1)]


def test_cancel_in_the_middle_is_told_apart_from_a_failure() -> None:
    def stopped(options: Any) -> None:
        session.cancel()
        assert options.terminate
        raise RuntimeError("Exiting due to terminate flag being set to true.")

    session = SpeechSession(Answering(stopped))  # type: ignore[arg-type]
    with pytest.raises(Cancelled):
        session.run({})
    session.cancel()  # nothing is under way
    session._session = Answering(lambda options: None)  # type: ignore[assignment]
    assert len(session.run({})) == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("bad_alloc", MemoryError),
        ("Failed to allocate memory for requested buffer", MemoryError),
        ("Non-zero status code\nreturned", NodeError),
    ],
)
def test_what_the_runtime_raises_is_one_sentence(message: str, kind: type[Exception]) -> None:
    def fail(options: Any) -> None:
        raise RuntimeError(message)

    with pytest.raises(kind) as raised:
        SpeechSession(Answering(fail)).run({})  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_real_synthesis_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime takes the flag between two operators."""
    voice = LightVoice()
    run = voice._session._session.run

    def late(wanted: None, feed: Any, options: Any) -> Any:
        voice.cancel()
        return run(wanted, feed, options)

    monkeypatch.setattr(voice._session, "_session", types.SimpleNamespace(run=late))
    with pytest.raises(Cancelled):
        voice.synthesise(TEXT)


def test_cuda_that_is_not_there_is_said_and_auto_takes_what_is(tmp_path: Path) -> None:
    model = durations.with_durations(toy(tmp_path / "toy.onnx"))
    if speech_session.CUDA in speech_session.onnxruntime.get_available_providers():
        pytest.skip("there is a GPU here")
    assert open_session(model, device="auto").provider == speech_session.CPU
    with pytest.raises(ConfigError, match="cuda is set, but ONNX Runtime uses CPUExecutionProvider"):
        open_session(model, device="cuda")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3/4/2024", "March fourth, 2024"),
        ("7:30 pm", "seven thirty P.M."),
        ("5 km", "five kilometers"),
        ("100 km/h", "one hundred kilometers per hour"),
        ("20 m/s", "twenty meters per second"),
        ("1st", "first"),
        ("Dr. Smith", "Doctor Smith"),
        ("No. 5", "number five"),
        ("50%", "fifty percent"),
        ("\u00bd cup", "one half cup"),
        ("12 \u00b0C", "twelve degrees celsius"),
        ("$2", "two dollars"),
        ("5GB", "five gigabytes"),
    ],
)
def test_numbers_dates_units_and_titles_are_read_out(text: str, words: str) -> None:
    """By how they sound: letters and stress alone differ."""
    strip = str.maketrans("", "", "\u02c8\u02cc,. ")
    assert to_phonemes(text).translate(strip) == to_phonemes(words).translate(strip)


class Parts:
    """An engine that streams."""

    rate = 24_000

    def __init__(self, size: int) -> None:
        self.size = size

    def synthesise(self, text: str) -> Array:
        tone = 0.4 * np.sin(2 * np.pi * 300 * np.arange(12_000) / self.rate)
        return np.concatenate([np.zeros(5_000), tone, np.zeros(1_000), tone, np.zeros(7_000)]).astype(np.float32)

    def stream(self, text: str) -> Iterator[Array]:
        sound = self.synthesise(text)
        yield from (sound[at : at + self.size] for at in range(0, len(sound), self.size))


@pytest.mark.parametrize("size", [1, 17, 480, 1_024, 100_000])
def test_what_streams_sounds_the_same_however_it_is_cut(size: int) -> None:
    sound = Parts(1).synthesise("")
    trim, whole = StreamTrim(24_000, 360, 960, 120), StreamTrim(24_000, 360, 960, 120)
    parts = [trim.push(sound[at : at + size]) for at in range(0, len(sound), size)]
    expected = np.concatenate([whole.push(sound), whole.finish()])
    assert np.array_equal(np.concatenate([*parts, trim.finish()]), expected)
    assert len(expected) == pytest.approx(25_000 + 360 + 960, abs=10)
    assert abs(expected[0]) < 1e-3 and abs(expected[-1]) < 1e-3


def test_a_clause_of_an_engine_that_streams_is_heard_before_it_is_whole() -> None:
    engine = Parts(2_400)
    assert isinstance(engine, Streaming) and not isinstance(engine, (Timed, Cancellable))
    pieces = list(spoken(engine, [Clause("One two.", True)]))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert [piece.text for piece in pieces] == ["One two."] + [""] * (len(pieces) - 1)
    assert len(pieces[0].sound) < 2_500


def test_clauses_are_equally_loud() -> None:
    """Two clauses differ by less than 2 dB, whatever the engine does."""
    level, tone = Level(24_000), np.sin(2 * np.pi * 300 * np.arange(12_000) / 24_000).astype(np.float32)
    found = [speech_db(level.near((tone * gain).astype(np.float32)), 480) for gain in (0.1, 0.3, 0.02, 0.1)]
    assert max(found) - min(found) < 2 * NEAR_DB + 0.05  # type: ignore[type-var, operator]
    assert not len(level.near(tone[:0]))


def test_pieces_are_as_long_as_there_is_time_for() -> None:
    """5 s of sound lie ready, a character takes 50 ms: 80 % of 100 characters."""
    now = 0.0
    pace = Pace(lambda: now)
    assert pace.most is None
    pace.made(40, took_s=2.0, sound_s=5.0)
    assert pace.most == pytest.approx(80.0)
    now = 2.5
    assert pace.most == pytest.approx(40.0)
    slow = Pace(lambda: now)
    slow.made(40, took_s=6.0, sound_s=5.0)
    assert slow.most is None  # short pieces would not help


@pytest.mark.parametrize(
    "style",
    [
        {"style": [0.0] * 255},
        {"style": [float("nan")] * 256},
        {},
        {"style": "loud"},
        {"style": [[]]},
        {"style": {"a": 1}},
        {"style": [0.0] * 256, "speed": "x"},
        {"style": [0.0] * 256, "speed": 0.0},
    ],
)
def test_a_style_that_is_none_is_refused(style: dict[str, Any]) -> None:
    voice = kokoro.KokoroVoice(types.SimpleNamespace(), np.zeros((1, 256), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="style: expected 256 numbers"):
        kokoro.restyle(voice, style)
    with pytest.raises(ConfigError, match="only a Kokoro voice"):
        kokoro.restyle(Parts(1), {"style": [0.0] * 256})


def test_missing_weights_offline_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    monkeypatch.setattr(store, "fetch", _offline, raising=False)
    with pytest.raises(WeightsError):
        by_name.open_voice("jf_alpha")


def _offline(*args: Any, **named: Any) -> Any:
    raise WeightsError("kokoro is not here and cannot be fetched: no network")
