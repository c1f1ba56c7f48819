"""By which engine and in which precision a CPU computes a network: the quickest that agrees with full precision.

Which one that is only the machine can say, so it is measured once and remembered: OpenVINO is quicker in fp32 on one
processor and slower on another, and half precision costs half where the processor has it, and more where it has not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation.cache_table import machine_key, read_table, write_entry
from audio_pipeline.models.separation.spleeter_precision import PARITY_DB, Engine, agreement_over_excerpts_db
from audio_pipeline.models.separation.spleeter_probe import EXCERPTS, WANTED, probe
from audio_pipeline.models.weights.store import cache_folder

ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
CHOICES = ("auto", *ENGINES)
PRECISIONS = ("fp32", "bf16", "fp16")
FILE = "engines.json"  # in the cache folder
ROUNDS = 7  # in turn, the best of each: what else runs meanwhile hits one as it hits the other


class Way(NamedTuple):
    """An engine and the precision in which it computes."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{ENGINES[self.engine]} {self.precision}"


class Figure(NamedTuple):
    """What one way takes on this machine for a window of 128 frames, and how well it agrees with fp32."""

    way: Way
    ms: float
    agrees_db: float

    def __str__(self) -> str:
        agrees = "" if self.way.precision == "fp32" else f" ({self.agrees_db:.0f} dB)"
        return f"{self.way} {self.ms:.1f} ms{agrees}"


class Wish(NamedTuple):
    """The engine and precision of the settings; what is not `required` is fp32 where the CPU has it not."""

    engine: str = "auto"
    precision: str = "auto"
    required: bool = True


def installed(engine: str) -> str:
    """The version of an engine's package; empty where it is not installed."""
    try:
        return version(engine)
    except PackageNotFoundError:
        return ""


def ways_here() -> list[Way]:
    """What this machine has, ONNX Runtime first: it is the one that is always there."""
    found = [Way("onnxruntime", "fp32")]
    if installed("openvino"):
        from audio_pipeline.models.separation.spleeter_openvino import half_precisions

        found += [Way("openvino", precision) for precision in ("fp32", *half_precisions())]
    return found


def asked_for(ways: Sequence[Way], wish: Wish) -> list[Way]:
    """Those of `ways` that are left to choose from. Raises ConfigError where there is none."""
    by_engine = [way for way in ways if wish.engine in ("auto", way.engine)]
    if not by_engine:
        raise ConfigError(
            f"engine: {wish.engine!r} is set, but its package is not installed; "
            f"python -m pip install {wish.engine}, or use 'auto'"
        )
    found = [way for way in by_engine if wish.precision in ("auto", way.precision)]
    if not found and wish.required:
        have = ", ".join(map(str, by_engine))
        raise ConfigError(f"precision: {wish.precision!r} is not to be had on this CPU, which has {have}; use 'auto'")
    return found or [way for way in by_engine if way.precision == "fp32"]


def choose(figures: Sequence[Figure], ways: Sequence[Way]) -> Figure:
    """The quickest of `ways` that agrees with fp32 to 50 dB; the quickest in fp32 where none of them does."""
    agreeing = [figure for figure in figures if figure.agrees_db >= PARITY_DB]
    wanted = [figure for figure in agreeing if figure.way in ways]
    exact = [figure for figure in agreeing if figure.way.precision == "fp32"]
    return min(wanted or exact, key=lambda figure: figure.ms)


def measure(engines: Mapping[Way, Engine], now_s: Callable[[], float] = time.perf_counter) -> list[Figure]:
    """One window through each of them in turn; the first is what the others have to agree with."""
    sound = probe()
    answers = [engine.masks(sound, WANTED) for engine in engines.values()]
    took = dict.fromkeys(engines, float("inf"))
    for _ in range(ROUNDS):
        for way, engine in engines.items():
            began = now_s()
            engine.masks(sound[:1], WANTED)
            took[way] = min(took[way], now_s() - began)
    agree = [min(agreement_over_excerpts_db(answers[0], answer, sound, WANTED), 200.0) for answer in answers]
    return [Figure(way, round(1000 * took[way], 1), round(db, 1)) for way, db in zip(engines, agree, strict=True)]


class Known:
    """The figures of a network on this machine, as they are remembered in the cache folder."""

    def __init__(self, path: Path, name: str, threads: int = 0) -> None:
        versions = (f"{engine} {installed(engine) or 'none'}" for engine in ENGINES)
        self._path, self._key = path, machine_key(name, *versions, f"{threads} threads", f"{EXCERPTS} excerpts")

    def recall(self) -> list[Figure]:
        """Nothing where they were not measured, or where what stands in the file makes no sense."""
        return _figures(read_table(self._path).get(self._key))

    def remember(self, figures: Sequence[Figure]) -> None:
        """A cache that cannot be written is no reason to end anything."""
        try:
            write_entry(self._path, self._key, [[*figure.way, figure.ms, figure.agrees_db] for figure in figures])
        except (OSError, TimeoutError):
            pass


def known(name: str, threads: int = 0) -> Known:
    """What is remembered of a released network on this machine."""
    return Known(cache_folder().parent / FILE, name, threads)


def _figures(rows: Any) -> list[Figure]:
    found = []
    for row in rows if isinstance(rows, list) else []:
        match row:
            case [str(engine), str(precision), float() | int() as ms, float() | int() as agrees_db]:
                if engine not in ENGINES or precision not in PRECISIONS or not ms > 0:
                    return []
                found.append(Figure(Way(engine, precision), float(ms), float(agrees_db)))
            case _:
                return []
    exact = any(figure.way.precision == "fp32" and figure.agrees_db >= PARITY_DB for figure in found)
    return found if exact else []


def settle_on_cpu(make: Callable[[Way], Engine], wish: Wish, memory: Known | None = None) -> tuple[Engine, str]:
    """The networks by the best of the ways that are asked for, and a line for the log. Raises ConfigError."""
    figures = memory.recall() if memory else []
    ways = [figure.way for figure in figures] or ways_here()
    wanted = asked_for(ways, wish)
    if len(wanted) == 1 and wanted[0].precision == "fp32":
        return make(wanted[0]), f"CPU: {ENGINES[wanted[0].engine]} computes in fp32{refusal(wanted[0], wish)}"
    made: dict[Way, Engine] = {}
    if not figures:
        made = {way: make(way) for way in ways}
        figures = measure(made)
        if memory:
            memory.remember(figures)
    best = choose(figures, wanted)
    return made.get(best.way) or make(best.way), f"CPU: {line(figures, best, wish)}"


def refusal(way: Way, wish: Wish) -> str:
    """Why it is not the precision that was asked for."""
    return "" if wish.precision in ("auto", way.precision) else f"; {wish.precision} is not to be had on this CPU"


def package(name: str, threads: int, wish: Wish) -> str:
    """The engine's package that a network will need, as far as is known before it is loaded."""
    figures = known(name, threads).recall()
    if wish.engine != "auto" and installed(wish.engine):
        return wish.engine
    if not figures:
        return "onnxruntime"
    ways = [figure.way for figure in figures if wish.precision in ("auto", figure.way.precision)]
    return choose(figures, ways).way.engine


def line(figures: Sequence[Figure], best: Figure, wish: Wish) -> str:
    """What was chosen, and why, beside what else there was."""
    way, beside = best.way, "".join(f"; {figure}" for figure in figures if figure is not best)
    here = {figure.way.precision for figure in figures}
    if way.precision != "fp32":
        why = f", which agrees with fp32 to {best.agrees_db:.0f} dB here"
    elif wish.precision in here - {"fp32"}:
        why = f": {wish.precision} agrees with it to less than {PARITY_DB:.0f} dB here"
    else:
        why = refusal(way, wish)
    return f"{ENGINES[way.engine]} computes in {way.precision}{why}, {best.ms:.1f} ms{beside}"
