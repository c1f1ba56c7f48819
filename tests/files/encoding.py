"""Sound files of many kinds, made with the FFmpeg inside PyAV and, for Vorbis, libsndfile."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile as sf


def signal(seconds: float, rate: int, channels: int = 2) -> np.ndarray:
    """Tones that rise, pause each second and differ by channel: cheap to code and nowhere alike."""
    t = np.arange(int(seconds * rate)) / rate
    gate = (t % 1 < 0.8)[:, None]
    x = np.stack([np.sin(2 * np.pi * t * (200 + 60 * c + 40 * t)) for c in range(channels)], axis=1)
    return (0.4 * gate * x).astype(np.float32)


def encode(
    path: Path,
    x: np.ndarray,
    rate: int,
    codec: str,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    *,
    layout: str = "",
    kind: str | None = None,
) -> Path:
    """Write `x` (n, channels) with an encoder of FFmpeg into the container that the name, or `kind`, asks for."""
    if codec == "vorbis":
        with sf.SoundFile(path, "w", rate, x.shape[1], format="OGG", subtype="VORBIS") as file:
            for i in range(0, len(x), 4096):  # libsndfile 1.2.2 crashes on long blocks
                file.write(x[i : i + 4096])
        return path
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[x.shape[1]]
    with av.open(str(path), "w", format=kind, options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options=options or {})
        if codec in ("wmav1", "wmav2"):
            stream.bit_rate = 128_000
        packed = np.ascontiguousarray(x).reshape(1, -1)  # PyAV 18.1 cannot fill eight planes
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))  # which converts to the encoder's sample format
        container.mux(stream.encode(None))
    return path


def encode_parts(path: Path, tracks: list[tuple[str, list[tuple[float, np.ndarray]]]], rate: int, codec: str) -> Path:
    """Tracks of a language each, as pieces of sound that begin at stated seconds; between them there is nothing."""
    with av.open(str(path), "w") as container:
        streams = []
        for language, pieces in tracks:
            stream = container.add_stream(codec, rate=rate, layout="stereo")
            stream.metadata["language"] = language
            streams.append((stream, pieces))
        packets = []
        for stream, pieces in streams:
            packets += [packet for begins_s, x in pieces for packet in _packets(path, stream, begins_s, x, rate, codec)]
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            container.mux(packet)
    return path


def _packets(path: Path, stream, begins_s: float, x: np.ndarray, rate: int, codec: str) -> list:
    """A piece coded by itself, so that no encoder carries over a gap."""
    coder = av.CodecContext.create(codec, "w")
    coder.sample_rate, coder.layout, coder.time_base = rate, "stereo", Fraction(1, rate)
    coder.format = stream.codec_context.format
    coder.open()
    size, out = coder.frame_size or 1024, []
    for at in range(0, len(x) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x[at : at + size].T), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        converted = av.AudioResampler(format=coder.format.name, layout="stereo", rate=rate).resample(frame)
        out += [packet for one in converted for packet in coder.encode(one)]
    for packet in out:
        packet.pts += round(begins_s * rate)
        packet.dts = packet.pts
        packet.stream = stream
    return out
