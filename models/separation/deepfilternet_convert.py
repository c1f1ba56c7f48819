"""Takes DeepFilterNet3 out of the archive in which it is released, and writes its graph of one step."""

from __future__ import annotations

import tarfile
from pathlib import Path

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.separation.deepfilternet_graph import PARTS, step_graph

ARCHIVE = "DeepFilterNet3_onnx.tar.gz"
FILE = "step.onnx"
MOST_BYTES = 1 << 24  # of one graph; the largest has 3.3 MB


def from_archive(raw: Path, done: Path) -> None:
    """Writes `step.onnx`. Raises WeightsError where the archive is another."""
    (done / FILE).write_bytes(step_graph(read_parts(raw / ARCHIVE)).SerializeToString())


def read_parts(archive: Path) -> dict[str, bytes]:
    """The three graphs by name: no path out of the archive is followed, and nothing is written."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                path = Path(member.name)
                if path.suffix != ".onnx" or path.stem not in PARTS or not member.isfile():
                    continue
                if member.size > MOST_BYTES or (content := tar.extractfile(member)) is None:
                    raise WeightsError(f"{archive.name}: {member.name} has {member.size} bytes, too many for a graph")
                found[path.stem] = content.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise WeightsError(f"{archive.name} cannot be read: {error}") from error
    if missing := [name for name in PARTS if name not in found]:
        raise WeightsError(f"{archive.name} does not hold {', '.join(f'{name}.onnx' for name in missing)}")
    return found
