"""Sound files of many kinds, made with the FFmpeg inside PyAV and, for Vorbis, libsndfile."""

from __future__ import annotations

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
) -> Path:
    """Write `x` (n, channels) with an encoder of FFmpeg into the container that the name asks for."""
    if codec == "vorbis":
        with sf.SoundFile(path, "w", rate, x.shape[1], format="OGG", subtype="VORBIS") as file:
            for i in range(0, len(x), 4096):  # libsndfile 1.2.2 crashes on long blocks
                file.write(x[i : i + 4096])
        return path
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[x.shape[1]]
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options=options or {})
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x.T), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))  # which converts to the encoder's sample format
        container.mux(stream.encode(None))
    return path
