"""A network that speaks, in ONNX Runtime: on the processor or the GPU that was asked for, and stopped on request."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

from audio_pipeline.errors import ConfigError, NodeError
from audio_pipeline.models.speech.engine import Cancelled

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WORDS = {"cpu": (CPU,), "cuda": (CUDA, CPU), "auto": (CUDA, CPU)}
Arrays = list[np.ndarray[Any, Any]]


class SpeechSession:
    """Runs one synthesis at a time; `cancel` ends it between two of its operators."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._under_way: onnxruntime.RunOptions | None = None

    @property
    def provider(self) -> str:
        """What really does the work."""
        return str(self._session.get_providers()[0])

    def run(self, feed: Mapping[str, Any]) -> Arrays:
        """All outputs. Raises Cancelled, MemoryError, or NodeError where the runtime failed."""
        options = onnxruntime.RunOptions()
        with self._lock:
            self._under_way = options
        try:
            found: Arrays = self._session.run(None, dict(feed), options)
        except MemoryError:
            raise
        except Exception as error:  # the runtime has no common class for what it raises
            raise _meant(error, cancelled=options.terminate) from error
        finally:
            with self._lock:
                self._under_way = None
        return found

    def cancel(self) -> None:
        """Ends the run under way, if there is one."""
        with self._lock:
            if self._under_way is not None:
                self._under_way.terminate = True


def open_session(model: bytes, threads: int = 0, device: str = "cpu") -> SpeechSession:
    """A session of a network on `cpu`, `cuda`, or `auto`: CUDA where it works. Raises ConfigError.

    ONNX Runtime falls back to the processor without a word, so what it chose is looked at.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are the graph's as well
    here = onnxruntime.get_available_providers()
    wanted = [name for name in WORDS[device] if name in here]
    session = SpeechSession(onnxruntime.InferenceSession(model, options, providers=wanted))
    if device == "cuda" and session.provider != CUDA:
        raise ConfigError(
            f"device: cuda is set, but ONNX Runtime uses {session.provider}: "
            "install onnxruntime-gpu and a CUDA that it supports, or use auto or cpu"
        )
    return session


def _meant(error: Exception, *, cancelled: bool) -> Exception:
    if cancelled:
        return Cancelled()
    reason = " ".join(str(error).split())
    if "alloc" in reason.lower() or "out of memory" in reason.lower():
        return MemoryError(f"no memory for a synthesis: {reason:.200}")
    return NodeError(f"the voice failed: {reason:.300}")
