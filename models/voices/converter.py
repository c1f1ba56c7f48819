"""Puts a converter together from what somebody asked for: a voice, an engine, a rate, a mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.pitch import PitchStatistics, restored
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.convert import world
from audio_pipeline.models.convert.blocks import BlockConverter, Converter, layout_of
from audio_pipeline.models.convert.formant import Calibration
from audio_pipeline.models.convert.mark import load_mark
from audio_pipeline.models.convert.target import Target, target_from, target_of
from audio_pipeline.models.convert.world_voice import WorldConverter
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.voices import by_name, policy
from audio_pipeline.models.voices.sample import unpacked

Array = NDArray[np.float32]

WORLD = "world"


@dataclass(frozen=True)
class Wish:
    """What a converter is asked for.

    `voice` is an enrolled one's name, `sample` a clip (samples, channels) and its rate in Hz; neither: no target.
    """

    voice: str = ""
    sample: tuple[Array, int] | None = None
    engine: str = WORLD
    semitones: float = 0.0
    formant: float | None = None
    colour: float = 1.0
    block_ms: int = 0
    watermark: bool = True
    threads: int = 0


class Ready:
    """A converter and what can be changed and seen of it while it runs."""

    def __init__(
        self, blocks: BlockConverter, world_: WorldConverter | None = None, calibration: Calibration | None = None
    ) -> None:
        self.blocks, self._world, self._calibration = blocks, world_, calibration

    def warm_up(self) -> None:
        """The first block is slower than any later one."""
        noise = np.random.default_rng(0).standard_normal(2 * self.blocks.latency_samples) * 0.01
        self.blocks.process(noise.astype(np.float32))
        self.blocks.reset()

    def change(self, name: str, value: Any) -> None:
        """`pitch_semitones`, or `formant`, None to have it found anew; nothing where the engine has neither."""
        if self._world is None:
            return
        if name == "pitch_semitones":
            self._world.shift(value)
        elif self._calibration is not None:
            self._calibration.give(value)
        else:
            self._world.warp(1.0 if value is None else value)

    def close(self) -> None:
        """Nothing is searched any more."""
        if self._calibration is not None:
            self._calibration.close()

    def gauges(self) -> dict[str, float]:
        """What people may want to watch."""
        if self._world is None:
            return {}
        return {"f0_hz": self._world.f0_hz, "formant": self._world.formant}

    def findings(self) -> list[dict[str, Any]]:
        """What was learnt since the last call."""
        if self._calibration is None:
            return []
        findings, self._calibration.findings = self._calibration.findings, []
        return [asdict(one) for one in findings]

    def state(self) -> dict[str, Any]:
        """What is known of the speaker, for a successor."""
        pitch = {"pitch": self._world.statistics.state()} if self._world else {}
        return {**pitch, **(self._calibration.state() if self._calibration else {})}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Knows what a predecessor knew; nothing where that is empty."""
        if self._world is not None:
            self._world.statistics = restored(state["pitch"]) if "pitch" in state else PitchStatistics()
        if self._calibration is not None:
            self._calibration.restore(state)


def open_converter(wish: Wish, rate: int, run: Any = None) -> Ready:
    """A block converter for a stream at `rate` Hz. `run(job)` executes a search: at once if not said.

    Raises ConfigError where the voice, the sample, the engine or the wish for no mark will not do; NodeError where a
    package is missing or the mark is not found in what was just marked.
    """
    check(wish)
    finish = load_mark(rate) if wish.watermark else None
    if wish.engine != WORLD:
        return Ready(BlockConverter(_neural(wish), rate, layout_of(wish.engine, wish.block_ms), finish))
    world.load_package()
    calibration = _calibration(wish, run or (lambda job: job()))
    spread, add = (calibration.target.pitch, calibration.add) if calibration else (None, lambda stretch: None)
    formant = wish.formant if wish.formant is not None else 1.0
    converter = WorldConverter(spread, semitones=wish.semitones, formant=formant, on_stretch=add)
    if calibration:
        calibration.converter = converter
    return Ready(BlockConverter(converter, rate, layout_of(wish.engine, wish.block_ms), finish), converter, calibration)


def check(wish: Wish) -> None:
    """Raises ConfigError where two wishes contradict each other, or the host's policy."""
    if wish.voice and wish.sample:
        raise ConfigError(f"voice {wish.voice!r} and a sample are both given, expected one of them")
    if wish.engine != WORLD and not (wish.voice or wish.sample):
        raise ConfigError(f"engine {wish.engine!r} needs a voice or a sample to convert to")
    if not wish.watermark and _policy_marks():
        raise ConfigError("watermark: false requires the same in this host's voice policy")


def _policy_marks() -> bool:
    """Whether made voices must be marked here."""
    return policy.read_policy().watermark


def _calibration(wish: Wish, run: Any) -> Calibration | None:
    if not (wish.voice or wish.sample):
        return None
    encoder = ge2e.load()
    return Calibration(_target(wish, encoder), encoder, wish.formant, wish.colour, run)


def _target(wish: Wish, encoder: ge2e.SpeakerEncoder) -> Target:
    numbers, embedding = _enrolled_numbers(wish.voice) if wish.voice else (None, None)
    if numbers and embedding is not None:
        try:
            return target_from(numbers, embedding)
        except ValueError as error:
            raise ConfigError(f"voice {wish.voice!r}: {error}; enrol it again") from error
    x, rate = reference(wish)
    try:
        return target_of(x, rate, encoder)
    except ConfigError as error:
        raise ConfigError(f"{f'voice {wish.voice!r}' if wish.voice else 'sample'}: {error}") from error


def _enrolled_numbers(name: str) -> tuple[dict[str, float] | None, Array | None]:
    """What the library keeps for the converter. Raises ConfigError where there is no such voice, or it may not be
    used."""
    voice = by_name.enrolled_voice(name)
    if voice is None:
        raise ConfigError(f"voice: no voice is enrolled as {name!r}; a sound file is given with sample:")
    return voice.record.target, voice.embedding


def reference(wish: Wish) -> tuple[Array, int]:
    """The clip (samples, channels) of the wanted speaker, and its rate. Raises ConfigError."""
    if wish.sample:
        return wish.sample
    _enrolled_numbers(wish.voice)
    found = by_name.enrolled_sample(wish.voice)
    if found is None:
        raise ConfigError(f"voice {wish.voice!r} was enrolled without keeping its sample, which is needed here")
    return unpacked(found[0], f"the sample of voice {wish.voice!r}")


def _neural(wish: Wish) -> Converter:
    """An engine of coqui-tts. Raises ConfigError where it is not there."""
    try:
        from audio_pipeline.models.convert.coqui_vc import open_converter as open_engine
    except ModuleNotFoundError as error:
        raise ConfigError(f"engine {wish.engine!r} is not installed here: {error}") from error
    x, rate = reference(wish)
    converter: Converter = open_engine(wish.engine, to_channels(x, 1)[:, 0], rate, threads=wish.threads)
    return converter
