"""Analyses voices: an embedding for each second of speech, changes of speaker, and recognition of known speakers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_pipeline.context import Context
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Frame
from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.ge2e import Array
    from audio_pipeline.models.hearing.ge2e_stream import Comparison
    from audio_pipeline.models.voices.live import Enroller

RATE = 16_000
NOBODY = ""
LEAST_S = 1.6  # of speech in a reference: one look of the encoder


@dataclass(frozen=True)
class Settings:
    known: tuple[str, ...] = setting((), "sound files of voices to recognise, each named after its file", file=True)
    enrolled: tuple[str, ...] = setting((), "enrolled voices to recognise, by name")
    every_s: float = setting(1.0, "speech between two embeddings", unit="s", minimum=0.3, maximum=60)
    same_above: float = setting(0.75, "least likeness of a known voice", minimum=0.0, maximum=1.0, live=True)
    other_below: float = setting(0.7, "likeness below which the speaker has changed", minimum=0.0, maximum=1.0)
    enrol_s: float = setting(
        0.0, "speech after which a Kokoro voice is fitted to it; 0: never", unit="s", minimum=0, maximum=30
    )
    consent: bool = setting(False, "the speaker agrees to a voice fitted to theirs; without, none is", live=True)


class SpeakerEncoder(Node):
    """Sends events about the speaker on `voice`; it has no sound output.

    `look` {likeness, speech_s, embedding}: after each `every_s` of speech, the likeness of the last 1.6 s to this voice
    so far, the duration of its speech, and the mean embedding (256 numbers). `changed` {likeness}: two consecutive
    embeddings were unlike the voice before; the mean starts again. `who` {name, likeness}: the known voice closest to
    the mean, an empty name for none; sent when the answer changes. `style` {style, speed, british, nearest, speech_s}:
    with `enrol_s` and `consent`, a Kokoro style fitted to the speech, for a tts; sent again when the speech has
    doubled. `withdrawn`: `consent` was revoked; a tts stops speaking in that style. Positions are those at the end of
    the analysed speech. The level has no influence; of stereo whose sides cancel, one side is analysed.
    """

    Settings = Settings
    PORTS = Ports(outputs=(), events=("voice",))

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return ("ge2e",)

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.models.hearing.ge2e_stream",)

    def input_rate(self, port: str, graph_rate: int) -> int:
        return RATE

    def open(self, ctx: Context) -> None:
        from audio_pipeline.dsp.mono import Mono
        from audio_pipeline.models.hearing import ge2e
        from audio_pipeline.models.hearing.ge2e_stream import VoiceTracker
        from audio_pipeline.models.voices.enrolled import Library

        encoder = ge2e.load()
        files = {Path(path).stem: _voice_in(Path(path), encoder) for path in self.settings.known}
        self._known = files | {name: Library().voice(name).embedding for name in self.settings.enrolled}
        self._tracker = VoiceTracker(encoder, every_s=self.settings.every_s, other_below=self.settings.other_below)
        self._enroller = self._new_enroller(ctx)
        self._sides = Mono(RATE)
        self._who: str | None = None
        self._base: int | None = None  # position of the tracker's first sample, at 16 kHz
        self._input_end = 0  # up to this position, at 16 kHz

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if self._base is None:
            self._base = frame.position
        self._input_end = frame.end
        x = self._sides.process(frame.audio())[:, 0]
        if self._enroller is not None:
            self._enroller.push(x)
        for comparison in self._tracker.push(x):
            self._report(comparison, (self._base + comparison.end) * ctx.rate // RATE, ctx)

    def _report(self, comparison: Comparison, position: int, ctx: Context) -> None:
        ctx.gauge("likeness", comparison.likeness)
        if comparison.changed:
            ctx.event("voice", "changed", position, likeness=comparison.likeness)
        embedding = [round(float(value), 6) for value in comparison.mean]
        ctx.event(
            "voice", "look", position, likeness=comparison.likeness, speech_s=comparison.speech_s, embedding=embedding
        )
        self._enrol(comparison, position, ctx)
        name, likeness = self._nearest(comparison)
        if self._known and name != self._who:
            self._who = name
            ctx.event("voice", "who", position, name=name, likeness=likeness)

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if name == "consent":
            self._enroller = self._new_enroller(ctx)
            if self.settings.enrol_s and not value:
                ctx.event("voice", "withdrawn", max(position, self._input_end * ctx.rate // RATE))

    def _new_enroller(self, ctx: Context) -> Enroller | None:
        """None where no voice is to be made: then nothing of what is heard is kept."""
        from audio_pipeline.models.voices.live import Enroller

        if self.settings.enrol_s and not self.settings.consent:
            ctx.log(f"no voice is fitted before the speaker agrees: set {ctx.name}.consent=true")
        return Enroller(self.settings.enrol_s) if self.settings.enrol_s and self.settings.consent else None

    def _enrol(self, comparison: Comparison, position: int, ctx: Context) -> None:
        if self._enroller is None:
            return
        try:
            style = self._enroller.update(comparison.speech_s, changed=comparison.changed)
        except ConfigError as error:
            ctx.log(str(error))
            return
        if style is not None:
            ctx.event("voice", "style", position, **style)
            ctx.log(f"a voice was made of {style['speech_s']:g} s of speech; nearest stock voice {style['nearest']}")

    def _nearest(self, comparison: Comparison) -> tuple[str, float]:
        from audio_pipeline.models.hearing.ge2e import similarity

        scores = {name: similarity(comparison.mean, voice) for name, voice in self._known.items()}
        name = max(scores, key=lambda known: scores[known], default=NOBODY)
        likeness = scores.get(name, 0.0)
        return (name if likeness >= self.settings.same_above else NOBODY), likeness

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        self._tracker.reset()
        self._sides.reset()
        if self._enroller is not None:
            self._enroller.reset()
        self._base = None


def _voice_in(path: Path, encoder: Any) -> Array:
    """The embedding of a reference file."""
    from audio_pipeline.dsp.leveller import levelled
    from audio_pipeline.files.clip import read_clip
    from audio_pipeline.models.hearing import speech
    from audio_pipeline.models.hearing.ge2e_stream import LEVEL_DB

    x = speech.prepare(*read_clip(path))
    if len(x) < LEAST_S * RATE:
        raise ConfigError(f"known: {str(path)!r} holds {len(x) / RATE:.1f} s of speech, expected {LEAST_S:g} s or more")
    voice: Array = encoder.utterance(levelled(x, LEVEL_DB))
    return voice


NODE = SpeakerEncoder
