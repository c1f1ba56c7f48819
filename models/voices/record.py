"""What is written down about an enrolled voice: `voice.json`, and beside it its style and the sample it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audio_pipeline.models.voices import checked_json

Array = np.ndarray[Any, np.dtype[np.float32]]

FORMAT, VERSION = "audio-pipeline voice", 1
RECORD, STYLE, SAMPLE = "voice.json", "style.safetensors", "sample.flac"
STYLE_SIZE, EMBEDDING_SIZE = 256, 256
MOST_ROWS = 510
PITCH_BINS = 48
RECORD_BYTES = 100_000


@dataclass(frozen=True)
class Sample:
    """The recording a voice was made from, and how good it was."""

    sha256: str  # of the file or recording as it came in
    seconds: float
    speech_s: float  # of it that is speech
    rate: int  # Hz
    snr_db: float  # speech over the pauses
    clipped_ms: float  # for which the converter was at its end
    bandwidth_hz: float  # above it there is nothing of the voice
    music_db: float | None  # accompaniment over voice; None where nobody looked
    separated: bool  # whether the music was taken away first
    second_voice: bool
    made: bool  # whether it carries the mark of made speech


@dataclass(frozen=True)
class Traits:
    """How somebody speaks."""

    pitch_hz: float  # median
    pitch_spread_st: float  # standard deviation, semitones
    syllables_per_s: float
    pitch_counts: tuple[int, ...]  # frames by pitch, on the 48 bins of `traits.edges_hz`


@dataclass(frozen=True)
class Likeness:
    """GE2E similarities, 0 to 1, on text that the fit has not seen."""

    voice: float  # the made voice to the sample
    ceiling: float | None  # one half of the sample to the other; None where it is too short for that
    nearest: float  # the nearest stock voice to the sample
    nearest_voice: str


@dataclass(frozen=True)
class Provenance:
    """By what it was made."""

    engine: str  # whose styles these are: kokoro
    method: str  # how it was fitted
    evaluations: int  # trial renderings
    seconds: float  # that they took
    software: str  # name and version
    models: dict[str, str]  # name: where its weights come from
    imported: str  # when it came from another host (ISO 8601); empty where it was made here


@dataclass(frozen=True)
class Consent:
    """That the speaker agreed, and how that is known."""

    kind: str  # attested (somebody typed it) or spoken (the speaker read a sentence aloud)
    speaker: str
    statement: str
    given: str  # ISO 8601, UTC
    sample_sha256: str  # of the recording it is about
    sentence: str = ""  # that was read aloud
    proof_sha256: str = ""  # of that recording
    likeness: float = 0.0  # of that recording to the sample


@dataclass(frozen=True)
class Record:
    """`voice.json`."""

    name: str
    created: str  # ISO 8601, UTC
    british: bool  # which pronunciation it was fitted on
    speed: float  # at which it speaks as the speaker does
    sample: Sample
    speaker: Traits
    voice: Traits
    likeness: Likeness
    provenance: Provenance
    consent: Consent | None
    target: dict[str, float] | None  # of the voice converter
    id: str = ""  # 32 hexadecimal digits, the voice's for as long as it lives; empty until it is kept
    revision: int = 0
    files: dict[str, str] = field(default_factory=dict)  # name: SHA-256
    format: str = FORMAT
    version: int = VERSION


@dataclass(frozen=True, eq=False)
class Draft:
    """A voice that is about to be kept."""

    record: Record
    pack: Array  # (n, 256)
    embedding: Array  # (256,)
    sample_flac: bytes | None  # the sound it was fitted on


@dataclass(frozen=True, eq=False)
class Voice:
    """An enrolled voice as it is used."""

    record: Record
    pack: Array  # (n, 256): a style a length of text, as Kokoro's
    embedding: Array  # (256,): the speaker's, by GE2E

    @property
    def name(self) -> str:
        """As it was typed."""
        return self.record.name


def read_record(text: bytes) -> Record:
    """Checks everything in a `voice.json`. Raises ValueError with what is wrong."""
    from audio_pipeline.errors import ConfigError
    from audio_pipeline.models.voices.names import checked_name

    record = checked_json.parse(Record, text)
    if record.format != FORMAT:
        raise ValueError(f"format is {record.format!r:.40}, expected {FORMAT!r}")
    if record.version != VERSION:
        raise ValueError(f"version is {record.version}, expected {VERSION}; a newer audio-pipeline wrote it")
    if len(record.id) != 32 or not set(record.id) <= set("0123456789abcdef") or record.revision < 1:
        raise ValueError(f"id {record.id!r:.40}, revision {record.revision} are no id and revision")
    for traits in (record.speaker, record.voice):
        if len(traits.pitch_counts) != PITCH_BINS or min(traits.pitch_counts) < 0:
            raise ValueError(f"pitch_counts are {len(traits.pitch_counts)} numbers, expected {PITCH_BINS} of 0 or more")
    if set(record.files) - {STYLE, SAMPLE} or STYLE not in record.files:
        raise ValueError(f"files are {', '.join(record.files)!r:.80}, expected {STYLE} and perhaps {SAMPLE}")
    try:
        if checked_name(record.name) != record.name:
            raise ValueError("name is not in Unicode's composed form")
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return record


def read_style(data: bytes) -> tuple[Array, Array]:
    """Pack (n, 256) and embedding (256,) out of safetensors. Raises ValueError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, Array] = load(data)
    except SafetensorError as error:
        raise ValueError(f"is not a safetensors file: {error}") from error
    if set(found) != {"pack", "embedding"}:
        raise ValueError(f"holds {', '.join(sorted(found))!r:.80}, expected pack and embedding")
    pack, embedding = found["pack"], found["embedding"]
    if pack.ndim != 2 or not 1 <= len(pack) <= MOST_ROWS or pack.shape[1] != STYLE_SIZE:
        raise ValueError(f"pack is of shape {pack.shape}, expected (1 to {MOST_ROWS}, {STYLE_SIZE})")
    if embedding.shape != (EMBEDDING_SIZE,):
        raise ValueError(f"embedding is of shape {embedding.shape}, expected ({EMBEDDING_SIZE},)")
    for name, array in found.items():
        if array.dtype != np.float32 or not np.all(np.isfinite(array)) or np.max(np.abs(array)) > 100:
            raise ValueError(f"{name} holds what is no style: expected finite float32 up to 100")
    return pack, embedding


def write_style(pack: Array, embedding: Array) -> bytes:
    """The safetensors file that `read_style` reads."""
    from safetensors.numpy import save

    arrays = {"pack": np.ascontiguousarray(pack, np.float32), "embedding": np.ascontiguousarray(embedding, np.float32)}
    return save(arrays)
