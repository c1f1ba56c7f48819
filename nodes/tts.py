"""Speaks text while it is being written: clause by clause, as soon as a clause is complete."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline import threads
from audio_pipeline.context import Context
from audio_pipeline.errors import ConfigError, NodeError
from audio_pipeline.frame import Samples
from audio_pipeline.node import Ports, Source
from audio_pipeline.settings import setting

LIGHT, XTTS = "light", "xtts"


@dataclass(frozen=True)
class Settings:
    text: str = setting("", "short for an event `cancel` and an event `text` with its end; empty: `cancel`", live=True)
    voice: str = setting(LIGHT, "light, one of Kokoro's voices, an enrolled one, or xtts:NAME@LANGUAGE")
    speed: float = setting(1.0, "pace; 1 is the voice's own", minimum=0.5, maximum=2.0)
    watermark: bool = setting(True, "mark the speech as synthetic; off only if another node does so")
    stall_s: float = setting(
        2.0,
        "after this pause an unfinished text is spoken as far as it came",
        unit="s",
        minimum=0.1,
        maximum=600,
        live=True,
    )
    device: str = setting("auto", "processor for Kokoro; auto: a GPU if it works", choices=("auto", "cpu", "cuda"))
    threads: int = setting(0, "CPU threads of a synthesis; 0: one for each core", minimum=0, maximum=64)


class Tts(Source):
    """A voice as a source: silent until it gets a text, mono in both channels.

    It takes its text from events on `text`, of another node or by `send` (`audio-pipeline say --into NODE`): `text`
    {text, end} is a portion of a text, `end` its end, `cancel` stops the speech. It speaks a text while the text is
    being written; the next one follows it. The setting `text` is short for a `cancel` and a complete text. An event
    `cancel`, or the `start` of a vad, on `interrupt` also stops the speech, within 10 ms. `voice` takes the `style`
    events of a speaker_encoder: a Kokoro voice continues in that style from the next clause on. `withdrawn` stops
    speech in that style within 10 ms, and the next text uses the configured voice.

    A restarted process logs the text that its predecessor was speaking (as of up to a second before the end) and does
    not repeat it.

    Live it never ends. Offline it takes all events first, speaks its text and theirs, none before its position, and
    ends. Events on `words`, at the positions at which they are audible: `start` {after_ms} the first sound, `clause`
    {text} (as spoken, with numbers in words) and `clause_end`, `word` {text, samples}, `done`; `cancelled`; `stalled`;
    `failed` {why}; `left_out` {what}: text that the voice cannot speak, such as other scripts. If the voice is slower
    than real time it pauses between clauses: `starved` {ms}, a line in the log, and the counter `starved_samples`.
    """

    Settings = Settings
    PORTS = Ports(inputs=(), events=("words",), event_inputs=("text", "interrupt", "voice"))
    commands = ("cancel",)

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        wanted = ("perth",) if settings.watermark else ()
        own = settings.voice == LIGHT or settings.voice.partition(":")[0] == XTTS
        return wanted if own else (*wanted, "kokoro")

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        own = ("torch",) if settings.voice.partition(":")[0] == XTTS else ("hibari",)
        return ("audio_pipeline.models.speech.talker_live", "onnxruntime", "onnx", *own)

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._position = 0
        self._last_text = ""  # by a predecessor, which need not be repeated
        self._interrupted = ""  # what a predecessor was saying when it ended
        self._texts: list[tuple[int, str, bool]] = []  # offline: from which position on what is said, and if it ends
        self._ended: set[str] = set()
        self._written_ns: int | None = None  # when the text that is being written was last heard of

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position, self._last_text = int(state.get("position", 0)), str(state.get("last_text", ""))
        self._interrupted = str(state.get("unfinished", ""))

    def snapshot(self) -> dict[str, Any]:
        return {"last_text": self._last_text, "unfinished": self._report.unfinished}

    def seekable(self) -> bool:
        return False

    def open(self, ctx: Context) -> None:
        from audio_pipeline.models.hearing import perth
        from audio_pipeline.models.speech.talker import Talker
        from audio_pipeline.models.speech.talker_live import LiveTalker
        from audio_pipeline.models.speech.talker_report import TalkerReport
        from audio_pipeline.models.voices.by_name import open_voice
        from audio_pipeline.models.voices.policy import open_mark

        mark = open_mark() if self.settings.watermark else None
        if mark is not None and perth.self_check(mark) < perth.PRESENT:
            raise NodeError("tts: the watermark is not found in what was just marked")
        s = self.settings
        engine = open_voice(s.voice, speed=s.speed, threads=s.threads, device=s.device)
        self._talker = Talker(engine, mark, clock=time.monotonic if ctx.live else None)
        for _ in self._talker.synthesise(["Hello."]):  # the first synthesis is slower than any later one
            pass
        self._pool = threads.pool("voice")
        self._live = LiveTalker(self._talker, ctx.rate, self._pool, ctx.wake)
        self._report = TalkerReport(ctx.rate)
        if self._interrupted:
            ctx.log(f"the process before this one ended while it said {self._interrupted!r}: the rest is not said")
        if s.text and s.text != self._last_text:
            self._set_text(s.text, self._position, ctx)

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if name == "text":
            self.on_event("text", {"kind": "cancel"}, position, ctx)
            self._set_text(str(value), position, ctx)

    def _set_text(self, text: str, position: int, ctx: Context) -> None:
        """The setting, as the event that it stands for."""
        self._last_text = text
        if text:
            self.on_event("text", {"kind": "text", "text": text, "end": True}, position, ctx)

    def on_command(self, name: str, args: Mapping[str, Any], ctx: Context) -> Any:
        self._cancel(ctx)

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        kind = event.get("kind")
        if port == "voice":
            self._restyle(event, ctx)
        elif kind == "cancel" or (port == "interrupt" and kind == "start"):
            self._cancel(ctx)
        elif port == "text" and kind in ("text", "end"):
            self._receive_text(str(event.get("text", "")), position, ctx, end=kind == "end" or bool(event.get("end")))

    def _receive_text(self, text: str, position: int, ctx: Context, *, end: bool) -> None:
        if not ctx.live:
            self._texts.append((position, text, end))
            return
        if text:
            self._live.write(text)
            self._report.asked(ctx.now_ns(), text)
            self._written_ns = ctx.now_ns()
        if end:
            self._live.end()
            self._written_ns = None

    def on_events_end(self, port: str, ctx: Context) -> None:
        self._ended.add(port)
        if port == "text" and ctx.live:
            self._receive_text("", 0, ctx, end=True)

    def _cancel(self, ctx: Context) -> None:
        self._written_ns = None
        if self._live.cancel():
            ctx.event("words", "cancelled", self._position)
        self._report.cancelled()

    def _restyle(self, event: Mapping[str, Any], ctx: Context) -> None:
        from audio_pipeline.models.speech.kokoro import restyle, unstyle

        if event.get("kind") == "style":
            try:
                restyle(self._talker.engine, event, self.settings.speed)
            except ConfigError as error:
                ctx.log(str(error))
        elif event.get("kind") == "withdrawn" and unstyle(self._talker.engine):
            self._cancel(ctx)
            own = self.settings.voice
            ctx.log(f"consent was revoked: speech in that voice stops; from now on the voice is {own}")

    def blocks(self, ctx: Context) -> Iterator[Samples | int]:
        if not ctx.live:
            yield from self._all(ctx)
        while ctx.live:
            self._check_text(ctx)
            making = self._live.making  # before: what comes in between is no hole
            spoken = self._live.take(ctx.frame_samples)
            missing = ctx.frame_samples - len(spoken.sound)
            self._report_sound(spoken, missing, ctx, making=making)
            yield from self._block(spoken.sound, ctx.frame_samples)

    def _check_text(self, ctx: Context) -> None:
        """What the thread could not do, and a text that does not go on."""
        if self._live.broken is not None:
            raise self._live.broken
        while self._live.failed:
            self._written_ns = None
            self._give_up(self._live.failed.popleft(), ctx)
        while self._live.left_out:
            self._report_left_out(self._live.left_out.popleft(), ctx)
        self._live.hurry()
        stall_s = self.settings.stall_s
        if self._written_ns is not None and ctx.now_ns() - self._written_ns > stall_s * 1e9:
            self._written_ns = None
            self._live.settle()
            ctx.event("words", "stalled", self._position)
            ctx.log(f"no further text for {stall_s:g} s: the text is spoken as far as it came, and may continue")

    def _give_up(self, why: str, ctx: Context) -> None:
        ctx.count("failures")
        ctx.event("words", "failed", self._position, why=why)
        ctx.log(f"this text is given up: {why}")

    def _report_left_out(self, what: str, ctx: Context) -> None:
        ctx.event("words", "left_out", self._position, what=what)
        if any(char.isalpha() for char in what.replace(" and ", "").replace(" more", "")):  # more than pictures
            ctx.log(f"left out as unpronounceable for this voice: {what}")

    def _report_sound(self, spoken: Any, missing: int, ctx: Context, *, making: bool) -> None:
        ctx.count("starved_samples", self._report.starved(missing, making=making))
        for notice in self._report.notices(spoken, missing, ctx.now_ns(), making=making, busy=self._live.busy):
            ctx.event("words", notice.kind, self._position + notice.at, **notice.data)
            if notice.kind == "starved" and not self._report.slow:
                self._report.slow = True
                ctx.log(f"{self.settings.voice} is slower than real time here: it pauses between clauses")

    def _all(self, ctx: Context) -> Iterator[Samples | int]:
        """Offline: once nothing more can come, every text, as fast as it is made."""
        from audio_pipeline.models.speech.talker_live import NOTHING, at_rate
        from audio_pipeline.models.speech.talker_report import whole

        while not self._ended >= set(self.input_settings):
            yield 0
        for position, text in whole(self._texts):
            if position > self._position:
                yield from self._block(None, position - self._position)
            for spoken in at_rate(self._talker.synthesise([text]), self._talker.rate, ctx.rate):
                for notice in self._report.notices(spoken, 0, ctx.now_ns(), making=False, busy=True):
                    ctx.event("words", notice.kind, self._position + notice.at, **notice.data)
                yield from self._block(spoken.sound, len(spoken.sound))
            left_out = self._talker.left_out()
            if not self._report.talking:
                if text.strip():
                    self._give_up(NOTHING, ctx)
                continue
            if left_out:
                self._report_left_out(left_out, ctx)
            self._report.cancelled()
            ctx.event("words", "done", self._position)

    def _block(self, sound: Samples | None, samples: int) -> Iterator[Samples | int]:
        there = 0 if sound is None else len(sound)
        if sound is not None and there:
            self._position += there
            yield sound[:, None].repeat(2, axis=1)
        if there < samples:
            self._position += samples - there
            yield samples - there

    def close(self) -> None:
        self._live.cancel()
        self._pool.shutdown(cancel_futures=True)


NODE = Tts
