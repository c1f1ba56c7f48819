"""How soon speech is heard, and how fast it is made, beside the plain packages in the same run.

    python benchmarks/speech_latency.py --markdown          the tables of docs/benchmarks/speech.md

*ours* is what `say` and the `tts` node do: clause by clause, silence at the ends not made, levels matched, marked.
*plain* is the package as its page shows it: `Hibari()(text)`, and for Kokoro one call of the ONNX network for the whole
text (or its first 510 phonemes). First audible: from the text to the first sample above -40 dB of the sound's peak,
were it played as soon as it is there; the silence before it counts. They take turns in one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from separation_common import machine

from audio_pipeline.models.hearing import perth
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.engine import Cancelled
from audio_pipeline.models.speech.joins import speech_db
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.speech.talker import Talker
from audio_pipeline.models.voices.by_name import open_voice

Array = np.ndarray[Any, np.dtype[np.float32]]
Parts = Callable[[str], Iterator[Array]]
RATE = 24_000
QUIET = 10 ** (-40 / 20)
VOICE = "jf_alpha"
TEXTS = {
    "short": "Well, hello there.",
    "medium": "Three of us went to the old mill, because it rained, and nobody else was there that afternoon.",
    "long": "Good evening, and welcome. The old clock in the hall, which had not struck for years, began to tick again "
    "that night. Three of us went to the old mill, because it rained. Nobody else was there, of course. We waited "
    "for an hour by the fire, told each other stories, and went home late.",
}
GOALS_MS = {"light": 60.0, "kokoro": 800.0}
SOONER = 2.0


@dataclass(frozen=True)
class Result:
    """Of one voice, way and text: milliseconds to the first audible sample, real-time factor, and holes."""

    voice: str
    way: str
    text: str
    p50: float
    p99: float
    max: float
    rtf: float
    seconds: float
    hole_ms: float  # silence that would be heard between pieces because the next one was late
    rounds: int


def once(synthesise: Parts, text: str) -> tuple[float, float, float, float]:
    """First audible sample (ms), time taken and length of the sound (s), holes (ms)."""
    began = time.perf_counter()
    first_ms, ends_s, length_s, hole_s = None, 0.0, 0.0, 0.0
    for sound in synthesise(text):
        now = time.perf_counter() - began
        if first_ms is None:
            lead = int(np.flatnonzero(np.abs(sound) > QUIET * np.abs(sound).max())[0])
            first_ms, ends_s = 1000 * (now + lead / RATE), now
        hole_s += max(now - ends_s, 0.0)
        ends_s = max(ends_s, now) + len(sound) / RATE
        length_s += len(sound) / RATE
    assert first_ms is not None
    return first_ms, time.perf_counter() - began, length_s, 1000 * hole_s


def measure(ways: dict[tuple[str, str], Parts], name: str, rounds: int) -> list[Result]:
    """All ways with one text, in turn, in changing order."""
    found: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {key: [] for key in ways}
    for number in range(rounds):
        for key in list(ways) if number % 2 else list(ways)[::-1]:
            found[key].append(once(ways[key], TEXTS[name]))
    return [result(*key, name, np.array(rows)) for key, rows in found.items()]


def result(voice: str, way: str, text: str, rows: np.ndarray[Any, Any]) -> Result:
    first, took, length, hole = rows.T
    p50, p99 = np.percentile(first, [50, 99])
    rtf, seconds, worst = float(np.median(took / length)), float(length[0]), float(np.median(hole))
    return Result(voice, way, text, float(p50), float(p99), float(first.max()), rtf, seconds, worst, len(rows))


def ours(voice: str) -> Parts:
    talker = Talker(open_voice(voice), perth.load(), clock=time.perf_counter)
    return lambda text: (piece.sound for piece in talker.synthesise([text]))


def plain_light() -> Parts:
    from hibari import Hibari

    model = Hibari()
    return lambda text: iter([model(text)])


def plain_kokoro() -> Parts:
    """The published graph, untouched, the style row by length as its authors do."""
    import onnxruntime

    from audio_pipeline.models.weights import store

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(store.path("kokoro", kokoro.MODEL), options)
    vocabulary = json.loads(store.path("kokoro", kokoro.VOCABULARY).read_text(encoding="utf-8"))["vocab"]
    pack = kokoro.load_pack(VOICE)

    def synthesise(text: str) -> Iterator[Array]:
        ids = [vocabulary[sign] for sign in to_phonemes(text) if sign in vocabulary][: kokoro.ROWS]
        style = pack[min(len(ids), len(pack)) - 1][None]
        feed = {"tokens": np.array([[0, *ids, 0]]), "style": style, "speed": np.ones(1, np.float32)}
        yield session.run(None, feed)[0].ravel()

    return synthesise


WAYS: dict[tuple[str, str], Callable[[], Parts]] = {
    ("light", "ours"): lambda: ours("light"),
    ("light", "plain"): plain_light,
    ("kokoro", "ours"): lambda: ours(VOICE),
    ("kokoro", "plain"): plain_kokoro,
}


def warm(voices: list[str], seconds: float) -> list[Result]:
    """Everything is loaded and was used once; each text gets its share of the time, at least 3 rounds."""
    found: list[Result] = []
    for voice in voices:
        ways = {key: build() for key, build in WAYS.items() if key[0] == voice}
        for name in TEXTS:
            took = sum(once(synthesise, TEXTS[name])[1] for synthesise in ways.values())
            found += measure(ways, name, int(np.clip(seconds / len(voices) / len(TEXTS) / took, 3, 60)))
    return found


def aborts(rounds: int) -> Array:
    """Milliseconds from `cancel` to the end of Kokoro's synthesis of a long piece, at moments all over it."""
    engine, found = open_voice(VOICE), []
    began = time.perf_counter()
    engine.synthesise(TEXTS["medium"])
    whole_s = time.perf_counter() - began
    with ThreadPoolExecutor(1) as pool:
        for number in range(rounds):
            future = pool.submit(engine.synthesise, TEXTS["medium"])
            time.sleep(whole_s * 0.8 * (number + 1) / (rounds + 1))
            asked = time.perf_counter()
            engine.cancel()  # type: ignore[attr-defined]
            if isinstance(future.exception(), Cancelled):
                found.append(1000 * (time.perf_counter() - asked))
    return np.array(found)


def joins(voice: str) -> str:
    """Steps where pieces meet, how level they are, and whether anything is missing at their ends, over all texts."""
    talker = Talker(open_voice(voice), perth.load())
    pieces = [piece for text in TEXTS.values() for piece in talker.synthesise([text])]
    sound = np.concatenate([piece.sound for piece in pieces])
    meets = np.cumsum([len(piece.sound) for piece in pieces])[:-1]
    step = max(float(np.abs(np.diff(sound[at - 2 : at + 2])).max()) for at in meets)
    levels = [speech_db(piece.sound, RATE // 50) or 0.0 for piece in pieces]
    words = sum(len(piece.words) for piece in pieces)
    written = sum(len(text.split()) for text in TEXTS.values())
    return (
        f"{voice}: {len(pieces)} pieces, largest step where two meet {step:.5f} of full scale, levels within "
        f"{max(levels) - min(levels):.1f} dB, {words} of {written} words timed"
    )


def cold(voices: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds from the start of a new process to the first audible sample of the short text."""
    found: dict[str, list[float]] = {}
    for voice, way in [key for key in WAYS if key[0] in voices] * rounds:
        began = time.perf_counter()
        child = subprocess.run(
            [sys.executable, __file__, "--child", voice, way],
            capture_output=True,
            text=True,
            check=True,
        )
        after = float(child.stdout) - time.time() + time.perf_counter() - began
        found.setdefault(f"{voice} {way}", []).append(after)
    return found


def child(voice: str, way: str) -> None:
    """Prints the wall time at which the first audible sample was there."""
    synthesise = WAYS[voice, way]()
    first_ms = once(synthesise, TEXTS["short"])
    print(time.time() - first_ms[1] + first_ms[0] / 1000)


def table(results: list[Result]) -> Iterator[str]:
    yield "| voice | text | speech | way | first audible p50 | p99 | max | ratio | real-time factor | holes | rounds |"
    yield "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    plain = {(one.voice, one.text): one.p50 for one in results if one.way == "plain"}
    for one in results:
        ratio = f"{plain[one.voice, one.text] / one.p50:.1f}" if one.way == "ours" else ""
        yield (
            f"| {one.voice} | {one.text} | {one.seconds:.1f} s | {one.way} | {one.p50:.0f} ms | {one.p99:.0f} | "
            f"{one.max:.0f} | {ratio} | {one.rtf:.3f} | {one.hole_ms:.0f} ms | {one.rounds} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", nargs="+", default=["light", "kokoro"], choices=["light", "kokoro"])
    parser.add_argument("--seconds", type=float, default=120.0, help="for what is measured warm")
    parser.add_argument("--cold", type=int, default=3, help="new processes of each kind")
    parser.add_argument("--joins", action="store_true", help="how pieces meet, instead of times")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return 0
    if args.joins:
        for voice in args.voices:
            print(joins(VOICE if voice == "kokoro" else voice))
        return 0
    print(machine(), file=sys.stderr if args.json else sys.stdout)
    results, starts = warm(args.voices, args.seconds), cold(args.voices, args.cold)
    if args.json:
        print(json.dumps({"warm": [asdict(one) for one in results], "cold_s": starts}, indent=1))
        return 0
    print("\n".join(table(results)))
    if "kokoro" in args.voices:
        ends = aborts(20)
        print(f"stopped in the middle: {np.median(ends):.0f} ms (p50), {ends.max():.0f} ms (max) of {len(ends)}")
    for what, seconds in starts.items():
        print(f"cold, {what}: {min(seconds):.2f} to {max(seconds):.2f} s, {len(seconds)} processes")
    missed = [one for one in results if one.way == "ours" and one.p50 > GOALS_MS[one.voice]]
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
