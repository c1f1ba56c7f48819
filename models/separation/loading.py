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


def library(name: str) -> str:
    """The module to import ahead for a model: the one that holds its networks."""
    module = "deepfilternet" if spec_of(name) is DEEPFILTERNET else "spleeter"
    return f"audio_pipeline.models.separation.{module}"
