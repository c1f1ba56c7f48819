"""The notebook: what is committed was run from top to bottom, and runs so again without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.models.weights import store
from tests.shared import ROOT

NOTEBOOK = ROOT / "examples" / "from_paper_to_product.ipynb"
MOST_BYTES = 2_000_000
WEIGHTS = ("demo-song", "spleeter-2stems", "ge2e", "kokoro", "perth", "silero-vad")
NO_NETWORK = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}

RUN = """
import sys, nbclient, nbformat
from pathlib import Path
from jupyter_client.manager import AsyncKernelManager

source, target, socket = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=socket)
place = {"metadata": {"path": str(Path(source).parent)}}
nbclient.NotebookClient(notebook, timeout=None, startup_timeout=3600, km=kernel, resources=place).execute()
nbformat.write(notebook, target)
"""  # in a process of its own: nbclient leaves sockets to the garbage collector, which our tests count as an error


def code_cells(notebook: Any) -> list[Any]:
    """The cells that are run."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds_of(cell: Any) -> list[set[str]]:
    """The kinds of content of each output, such as audio in a page or a picture."""
    return [set(output.get("data", {"text/plain": ""})) for output in cell["outputs"]]


@pytest.fixture(scope="module")
def committed() -> Any:
    """The notebook as it is in the repository."""
    return json.loads(NOTEBOOK.read_text("utf-8"))


def test_the_committed_notebook_was_run_once_in_order_without_an_error(committed: Any) -> None:
    cells = code_cells(committed)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert NOTEBOOK.stat().st_size < MOST_BYTES


def test_each_product_has_its_card_sound_and_picture_in_the_page(committed: Any) -> None:
    heads = ("## 1.", "## 2.")
    first, second = (n for n, cell in enumerate(committed["cells"]) if "".join(cell["source"]).startswith(heads))
    for part in (committed["cells"][first:second], committed["cells"][second:]):
        text = json.dumps(part)
        assert "the card" in text and "audio/mpeg" in text and "image/png" in text
        assert "### The paper" in text and "### The code" in text and "### The product" in text


def test_no_path_of_a_machine_is_in_its_outputs(committed: Any) -> None:
    text = json.dumps([cell["outputs"] for cell in code_cells(committed)])
    assert str(Path.home()) + "/" not in text and "/tmp/" not in text


@pytest.mark.live
def test_it_runs_from_top_to_bottom_without_a_network(
    committed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nbclient")
    if missing := [name for name in WEIGHTS if store.locate(name).folder is None]:
        pytest.skip(f"weights are not here: {', '.join(missing)}")
    for name, value in {**NO_NETWORK, "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setitem(os.environ, name, value)
    command = [sys.executable, "-c", RUN, str(NOTEBOOK), str(tmp_path / "run.ipynb"), str(tmp_path / "kernel")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    notebook = json.loads((tmp_path / "run.ipynb").read_text("utf-8"))
    for now, then in zip(code_cells(notebook), code_cells(committed), strict=True):
        assert kinds_of(now) == kinds_of(then), "".join(then["source"])
