"""What the cloning benchmark measures on a clip of speech: likeness by two ears, quality, and the words understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import onnxruntime
from separation_common import Array

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.hearing import speech
from audio_pipeline.models.voices.reference import levelled

RATE = 16_000
CEPSTRA = 20
DNSMOS_SAMPLES = 144_160  # 9.01 s
# DNSMOS P.835 (Reddy, Gopal, Cutler; ICASSP 2022): polynomials from the network's scale to listeners'
SIGNAL, OVERALL = (-0.08397278, 1.22083953, 0.0052439), (-0.06766283, 1.11546468, 0.04602535)


def cepstra(x: Array, rate: int) -> Array:
    """(38,): mean and spread of the cepstral coefficients 1 to 19 over speech; nothing of GE2E is in it."""
    spoken = levelled(speech.prepare(x[:, None], rate))
    found = librosa.feature.mfcc(y=spoken, sr=RATE, n_mfcc=CEPSTRA, n_fft=512, hop_length=160, n_mels=40)[1:]
    return np.concatenate([found.mean(axis=1), found.std(axis=1)]).astype(np.float32)


class Cepstral:
    """Cosine of cepstral statistics, each number standardised over real speakers."""

    def __init__(self, clips: Sequence[Array]) -> None:
        self._mean, self._spread = np.mean(clips, axis=0), np.std(clips, axis=0)

    def likeness(self, a: Array, b: Array) -> float:
        """-1 to 1; 0 for two speakers that have nothing in common."""
        a, b = (a - self._mean) / self._spread, (b - self._mean) / self._spread
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


class Dnsmos:
    """Speech quality as listeners would give it, 1 to 5: of the speech alone, and overall."""

    def __init__(self, folder: Path) -> None:
        self._session = onnxruntime.InferenceSession(folder / "sig_bak_ovr.onnx", providers=["CPUExecutionProvider"])

    def __call__(self, x: Array, rate: int) -> tuple[float, float]:
        sound = resampled(x[:, None], rate, RATE)[:, 0]
        sound = np.tile(sound, -(-DNSMOS_SAMPLES // len(sound)))[:DNSMOS_SAMPLES]
        signal, _, overall = self._session.run(None, {"input_1": sound[None]})[0][0]
        return float(np.polyval(SIGNAL, signal)), float(np.polyval(OVERALL, overall))


def recogniser(folder: Path | None) -> Callable[[Array, int], str] | None:
    """Whisper by faster-whisper from a folder in CTranslate2's format; None where no folder is given."""
    if folder is None:
        return None
    from faster_whisper import WhisperModel  # type: ignore[import-not-found]

    model: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def heard(x: Array, rate: int) -> str:
        sound = resampled(x[:, None], rate, RATE)[:, 0]
        segments, _ = model.transcribe(sound, language="en", beam_size=1, without_timestamps=True)
        return "".join(segment.text for segment in segments)

    return heard


def words(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()


def word_error(said: str, heard: str) -> float:
    """Edits (substitutions, deletions, insertions) over the words said."""
    a, b = words(said), words(heard)
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1] / len(a)
