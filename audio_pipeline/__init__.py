"""Audio as a graph of supervised processes.

    from audio_pipeline import Pipeline

    with Pipeline.load("karaoke", {"nodes.song.path": "song.mp3"}) as pipeline:
        pipeline.set("mix.inputs.vocals.gain_db", -20)
        pipeline.wait()

The names below are imported when they are first used, so that a node, which needs three of them, costs no more.

Nothing that this package imports may send anything home. ONNX Runtime (since 1.29, on Linux) queues usage events in a
database below the user's cache folder and looks its collector up, unless this variable is set before its import;
Hugging Face's libraries, which the extra `coqui` brings, read the two others. Child processes inherit them. OpenVINO
sends an event when it is imported and has no switch; but it has a stub in its place where `openvino_telemetry` cannot
be imported, and here it cannot.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audio_pipeline.control.async_client import AsyncClient
    from audio_pipeline.control.client import Client
    from audio_pipeline.frame import Frame
    from audio_pipeline.node import Aligned, Filter, Node, Source
    from audio_pipeline.run.options import Options
    from audio_pipeline.run.pipeline import Pipeline
    from audio_pipeline.settings import setting

__all__ = ["Aligned", "AsyncClient", "Client", "Filter", "Frame", "Node", "Options", "Pipeline", "Source", "setting"]

for _switch in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_switch, "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it raises ImportError

_HOMES = {
    "Aligned": ("node", "Aligned"),
    "AsyncClient": ("control.async_client", "AsyncClient"),
    "Client": ("control.client", "Client"),
    "Filter": ("node", "Filter"),
    "Frame": ("frame", "Frame"),
    "Node": ("node", "Node"),
    "Options": ("run.options", "Options"),
    "Pipeline": ("run.pipeline", "Pipeline"),
    "Source": ("node", "Source"),
    "setting": ("settings", "setting"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
