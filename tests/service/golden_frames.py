"""Frames on the wire that every reader has to read alike: Python, JavaScript, C.

`python -m tests.service.golden_frames` writes `golden_frames.json`; a test compares it to what this makes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.frame import Flag, Format, Frame, audio_frame, event_frame, gap_frame
from audio_pipeline.frame_codec import HEADER, pack

FILE = Path(__file__).with_suffix(".json")
FIELDS = "channels rate samples flags clock_id epoch stream seq position captured_ns generation sent_age_us".split()

RAMP = np.arange(-3, 5, dtype=np.float32).reshape(4, 2) / 8
STAMPED: dict[str, Any] = {"seq": 1 << 40, "epoch": 3, "stream": 7, "generation": 2, "captured_ns": -5, "clock_id": 9}
GOOD: dict[str, Frame] = {
    "sound": audio_frame(RAMP, 4_711, 48_000, **STAMPED),
    "sound of a mix": audio_frame(RAMP, 1, 44_100, sources=((1, 2), (3, 4))),
    "flags": audio_frame(RAMP, 0, 8_000, flags=Flag.DISCONTINUITY | Flag.REPLAY | Flag.CONCEALED),
    "largest position": audio_frame(RAMP[:, :1], 1 << 53, 768_000, captured_ns=1 << 52),
    "a gap": gap_frame(480, 960, 48_000, 2, **STAMPED),
    "idle": gap_frame(0, 960, 48_000, 1),
    "the end": gap_frame(0, 960, 48_000, 1, flags=Flag.END),
    "an event": event_frame({"kind": "media", "media_s": 1.5, "playing": True, "länge": [None, -1, 70_000]}, 5, 48_000),
}


def packed(frame: Frame, **over: Any) -> bytes:
    """A frame with fields of its fixed header replaced."""
    message = pack(frame)
    names = "magic version header code channels rate samples length flags clock_id epoch stream seq position".split()
    names += ["captured", "generation", "age"]
    fields = dict(zip(names, HEADER.unpack_from(message), strict=True)) | over
    return HEADER.pack(*fields.values()) + message[HEADER.size :]


def s16(frame: Frame) -> bytes:
    """As the gateway sends it to a browser."""
    payload = np.round(frame.audio() * 32768).astype("<i2").tobytes()
    message = pack(replace(frame, data=None, flags=Flag.NONE))[: HEADER.size]
    fields = list(HEADER.unpack(message))
    fields[3], fields[7], fields[8] = Format.S16, len(payload), Flag.NONE
    return HEADER.pack(*fields) + payload


SOUND = GOOD["sound"]
BAD: dict[str, bytes] = {
    "empty": b"",
    "cut in its header": pack(SOUND)[:63],
    "cut in its payload": pack(SOUND)[:-1],
    "longer than it states": pack(SOUND) + b"x",
    "another magic": b"APF2" + pack(SOUND)[4:],
    "another version": packed(SOUND, version=2),
    "a header that is too short": packed(SOUND, header=60),
    "no rate": packed(SOUND, rate=0),
    "a rate beyond all": packed(SOUND, rate=768_001),
    "no channels": packed(SOUND, channels=0),
    "too many channels": packed(SOUND, channels=33),
    "more samples than payload": packed(SOUND, samples=5),
    "an unknown format": packed(SOUND, code=99),
    "a gap with a payload": packed(SOUND, flags=Flag.GAP),
    "a number beyond all": packed(SOUND, seq=1 << 62),
    "a position beyond all": packed(SOUND, position=(1 << 53) + 2),
    "captured beyond all": packed(SOUND, captured=1 << 61),
}


def described(name: str, message: bytes, frame: Frame) -> dict[str, Any]:
    """What a reader must find."""
    fields = {field: int(getattr(frame, field)) for field in FIELDS}
    return {"name": name, "hex": message.hex(), **fields, "sound": frame.audio().ravel().tolist(), "event": frame.event}


def made() -> dict[str, Any]:
    """The content of the file."""
    good = [described(name, pack(frame), frame) for name, frame in GOOD.items()]
    good.append(described("16 bits", s16(SOUND), replace(SOUND, flags=Flag.NONE)))
    good.append(described("unknown flags", packed(SOUND, flags=0xFF80), SOUND))
    return {"good": good, "bad": [{"name": name, "hex": message.hex()} for name, message in BAD.items()]}


def text() -> str:
    return json.dumps(made(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
