"""A separation model fed block by block, each window answered on the spot."""

from __future__ import annotations

import numpy as np

from audio_pipeline.models.separation.stream import SeparatorStream
from audio_pipeline.models.separation.types import Array, Model, SeparatorSettings
from audio_pipeline.models.separation.workers import Inline
from tests.dsp.chunking import chunks


def streamed(model: Model, x: Array, size: int, settings: SeparatorSettings) -> dict[str, Array]:
    """All that comes out of a stream which is fed in blocks of `size`, by output."""
    stream, worker = SeparatorStream(model, settings), Inline(model)
    done: dict[str, list[Array]] = {name: [np.zeros((0, model.spec.channels), np.float32)] for name in stream.outputs}

    def answer() -> None:
        while (window := stream.pending()) is not None:
            worker.submit(window)
            found = worker.take(window)
            assert found is not None
            for name, samples in stream.accept(window, found).items():
                done[name].append(samples)

    for _, block in chunks(x, size):
        stream.push(block)
        answer()
    stream.flush()
    answer()
    return {name: np.concatenate(parts) for name, parts in done.items()}
