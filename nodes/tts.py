"""Says text: clause by clause, as soon as it is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Samples
from audio_pipeline.node import Context, Ports, Source
from audio_pipeline.settings import setting

LIGHT = "light"


@dataclass(frozen=True)
class Settings:
    text: str = setting("", "what to say; set it while it runs to say something else, empty to be silent", live=True)
    voice: str = setting(LIGHT, "light, or the name of one of Kokoro's voices")
    speed: float = setting(1.0, "1 is the voice's own pace", minimum=0.5, maximum=2.0)
    watermark: bool = setting(True, "mark what is said as made by a machine; off only where another node does it")
    threads: int = setting(0, "CPU threads of a synthesis; 0: one for each core", minimum=0, maximum=64)


class Tts(Source):
    """A voice as a source: silent until it is given a text, mono in both channels.

    Live it never ends, and a text takes the place of the one before within 10 ms (`set voice.text="..."`). Offline it
    says its text and ends. Events on `words`: `clause` {text} at the position at which it is heard, `done` after the
    last one. Where the voice is slower than real time it pauses between clauses, which `starved` counts.
    """

    Settings = Settings
    PORTS = Ports(inputs=(), events=("words",))

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        wanted = ("perth",) if settings.watermark else ()
        return wanted if settings.voice == LIGHT else (*wanted, "kokoro")

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.models.talker_live", "onnxruntime", "hibari")

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._position = 0
        self._said = ""  # by a predecessor, which need not be repeated

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position, self._said = int(state.get("position", 0)), str(state.get("said", ""))

    def snapshot(self) -> dict[str, Any]:
        return {"said": self._said}

    def seekable(self) -> bool:
        return False

    def open(self, ctx: Context) -> None:
        from audio_pipeline.models import perth
        from audio_pipeline.models.talker import Talker
        from audio_pipeline.models.talker_live import LiveTalker
        from audio_pipeline.models.voices import open_voice

        mark = perth.load() if self.settings.watermark else None
        if mark is not None and perth.self_check(mark) < perth.PRESENT:
            raise NodeError("tts: the watermark is not found in what was just marked")
        s = self.settings
        self._talker = Talker(open_voice(s.voice, speed=s.speed, threads=s.threads), mark)
        self._talker.engine.speak("Hello.")  # the first synthesis is slower than any later one
        self._pool = ThreadPoolExecutor(1, "voice")
        self._live = LiveTalker(self._talker, ctx.rate, self._pool, ctx.wake)
        if ctx.live and s.text and s.text != self._said:
            self._say(s.text)

    def _say(self, text: str) -> None:
        self._said = text
        self._live.say(text)

    def blocks(self, ctx: Context) -> Iterator[Samples | int]:
        talking = False
        while ctx.live:
            sound, begins = self._live.take(ctx.frame_samples)
            if self._live.failed is not None:
                raise self._live.failed
            self._tell(begins, ctx)
            ctx.count("starved_samples", ctx.frame_samples - len(sound) if talking and self._live.busy else 0)
            if talking and not self._live.busy:
                ctx.event("words", "done", self._position + len(sound))
            talking = self._live.busy and (talking or bool(begins))
            yield from self._block(sound, ctx.frame_samples)
        yield from self._all(ctx)

    def _all(self, ctx: Context) -> Iterator[Samples | int]:
        """Offline: the whole text, as fast as it is made."""
        from audio_pipeline.models.talker_live import at_rate

        for text, sound in at_rate(self._talker, self.settings.text, ctx.rate):
            self._tell([(0, text)], ctx)
            yield from self._block(sound, len(sound))
        ctx.event("words", "done", self._position)

    def _tell(self, begins: list[tuple[int, str]], ctx: Context) -> None:
        for offset, text in begins:
            ctx.event("words", "clause", self._position + offset, text=text)

    def _block(self, sound: Samples, samples: int) -> Iterator[Samples | int]:
        if len(sound):
            self._position += len(sound)
            yield sound[:, None].repeat(2, axis=1)
        if len(sound) < samples:
            self._position += samples - len(sound)
            yield samples - len(sound)

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if value:
            self._say(str(value))
        else:
            self._live.stop()

    def close(self) -> None:
        self._live.stop()
        self._pool.shutdown(cancel_futures=True)


NODE = Tts
