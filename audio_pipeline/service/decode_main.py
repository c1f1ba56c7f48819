"""Decodes one upload in a process with limits: `python -m audio_pipeline.service.decode_main`.

Standard input is the uploaded file, standard output the sound as FLAC, and the last line of standard error says what
it is. The process has no name of any file: it reads a descriptor, through FFmpeg's own memory reader and a list of
formats, so that a playlist in an upload opens nothing. It may use so much memory, time and disk, and opens no socket.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

import numpy as np
import soundfile

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.media import open_media
from audio_pipeline.files.media_reader import MediaReader

CPU_S = 30
MEMORY_BYTES = 3 << 30
FILE_BYTES = 1 << 30
FILES = 64
LONGEST_S = 2 * 3600
BLOCK = 1 << 16


def limit() -> None:
    """For the rest of this process's life. A socket needs a descriptor as a file does: the network is left out."""
    for kind, most in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))


def close_files() -> None:
    """No further descriptor can be had: no file is opened, and no socket either."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def decode(source: Path, target: int) -> dict[str, object]:
    """Writes FLAC of 24 bits into a descriptor; what the sound is. Raises MediaError."""
    with open_media(source) as reader, os.fdopen(target, "w+b") as file:
        form = {"samplerate": reader.rate, "channels": reader.channels, "format": "FLAC", "subtype": "PCM_24"}
        with soundfile.SoundFile(file, "w", **form) as out:
            close_files()
            samples = _copy(reader, out)
        return {"seconds": round(samples / reader.rate, 3), "rate": reader.rate, "channels": reader.channels}


def _copy(reader: MediaReader, out: soundfile.SoundFile) -> int:
    samples = 0
    while len(block := reader.read(BLOCK)):
        samples += len(block)
        if samples > LONGEST_S * reader.rate:
            raise MediaError(f"is longer than {LONGEST_S // 3600} hours")
        out.write(np.clip(np.nan_to_num(block), -1.0, 1.0))
    if not samples:
        raise MediaError("has no sound in it")
    return samples


def main() -> int:
    """Prints a line of JSON: what the sound is, or why there is none."""
    limit()
    source = Path("/dev/fd/0")
    try:
        found = decode(source, os.dup(1))
    except PipelineError as error:
        found = {"error": str(error).removeprefix(f"{source}: ")}
    except MemoryError:
        found = {"error": "takes more memory than an upload may"}
    os.write(2, json.dumps(found).encode() + b"\n")
    return "error" in found


if __name__ == "__main__":
    sys.exit(main())
