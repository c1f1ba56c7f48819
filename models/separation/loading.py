"""Loads a separation model by its name in the catalogue; what runs it is imported only then."""

from __future__ import annotations

from audio_pipeline.models.separation.catalogue import DEEPFILTERNET, spec_of
from audio_pipeline.models.separation.types import LoadedModel


def load(
    name: str, *, device: str = "auto", threads: int = 0, precision: str = "auto", engine: str = "auto"
) -> LoadedModel:
    """The model with its released weights, fetched first where they are missing. Raises ConfigError, WeightsError."""
    if spec_of(name) is DEEPFILTERNET:
        from audio_pipeline.models.separation import deepfilternet

        return deepfilternet.load(device=device, threads=threads)
    from audio_pipeline.models.separation import spleeter

    return spleeter.load(name, device=device, threads=threads, precision=precision, engine=engine)


def libraries(name: str, *, threads: int = 0, precision: str = "auto", engine: str = "auto") -> tuple[str, ...]:
    """The modules to import ahead for a model: the one that holds its networks, and what will run them on a CPU."""
    if spec_of(name) is DEEPFILTERNET:
        return ("audio_pipeline.models.separation.deepfilternet", "onnxruntime")
    from audio_pipeline.models.separation.engines import Wish, package

    return ("audio_pipeline.models.separation.spleeter", package(name, threads, Wish(engine, precision)))
