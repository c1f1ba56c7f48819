"""GE2E in ONNX Runtime beside OpenVINO, in turn on one thread.

python benchmarks/ge2e_engines.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from separation_common import Array, agreement_db, machine, table

from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.tensors import FILE, read_tensors

ROUNDS = 200


def in_openvino(graph: bytes, precision: str) -> Callable[[Array], Array]:
    """One request on one thread."""
    import openvino

    core, config = openvino.Core(), {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    network = core.compile_model(core.read_model(graph), "CPU", {**config, "INFERENCE_PRECISION_HINT": precision})
    request = network.create_infer_request()

    def run(mels: Array) -> Array:
        request.infer([mels])
        return ge2e.unit(np.array(request.get_output_tensor().data))

    return run


def rows() -> Iterator[tuple[str, str, str]]:
    """One partial utterance: milliseconds, and how well the embedding agrees with the first one's."""
    path = store.path("ge2e", FILE)
    graph = ge2e._graph(read_tensors(path)).SerializeToString()
    mels = np.random.default_rng(0).random((1, ge2e.PARTIAL, ge2e.MEL.bands)).astype(np.float32)
    runs = {"ONNX Runtime fp32": ge2e.SpeakerEncoder(path).partials}
    runs |= {f"OpenVINO {name}": in_openvino(graph, hint) for name, hint in (("fp32", "f32"), ("bf16", "bf16"))}
    exact, times = next(iter(runs.values()))(mels), {name: list[float]() for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.perf_counter()
            run(mels)
            times[name].append(time.perf_counter() - began)
    for name, run in runs.items():
        found = run(mels)
        agrees = "" if np.array_equal(found, exact) else f"{agreement_db(exact, found):.0f} dB"
        yield name, f"{1000 * float(np.median(times[name])):.2f}", agrees


if __name__ == "__main__":
    print(machine() + "\n")
    table(["way", "1.6 s of speech, ms", "agreement"], rows())
