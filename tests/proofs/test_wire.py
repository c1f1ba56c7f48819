"""Another language on the wire: a client in C, written from the protocol's page, joins a running graph as a tap."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.cli.main import main
from audio_pipeline.links.tap import Tap
from tests.engine.graphs import noise, text_of
from tests.proofs.live import Pipeline, State, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "protocol.md"
SOURCES = [ROOT / "examples" / "c" / f"{name}.c" for name in ("listen", "set")]
RATE = 48_000
GRAPH = """
song: {kind: noise, seed: 3}
loud: {kind: fader, gain: 0.5, in: song}
rec: {kind: recorder, subtype: float32, inputs: {loud: {from: loud, policy: block}}}
"""


@pytest.fixture(scope="module")
def listen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, built here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("c")
    probe = [compiler, "-E", "-include", "zmq.h", "-x", "c", "/dev/null"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no zmq.h (Debian: libzmq3-dev)")
    for source in SOURCES:
        strict = ["-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *strict, "-o", folder / source.stem, source, "-lzmq"], check=True)
    return folder / "listen"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "wire.yaml"
    path.write_text(text_of(GRAPH, name="wire"))
    return path


def balanced(final: State) -> None:
    """Every frame that was offered, to the graph's own and to taps, is accounted for."""
    assert all(link["balanced"] for link in final["links"])
    for tap in final["taps"]:
        accounted = tap["delivered"] + sum(tap["dropped"].values()) + tap["queued"] + tap["in_flight"]
        assert tap["balanced"] and tap["offered"] == accounted, tap
    assert {tap["from"] for tap in final["taps"]} == {"loud.out"}


def folder_of(pipeline: Pipeline) -> Path:
    return pipeline.supervisor.run_dir.path


def test_a_client_in_c_hears_what_the_recorder_writes(
    listen: Path, config: Path, tmp_path: Path, proof_scale: float, private: Path
) -> None:
    seconds = max(600 * proof_scale, 5)
    out = tmp_path / "heard.f32"
    with running(config, tmp_path / "take") as pipeline:
        command = [listen, folder_of(pipeline), "loud.out", out, f"{seconds}"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
        pipeline.play(0.5)
        final = pipeline.finish()
    counted = json.loads(said.stdout)
    heard = np.fromfile(out, "<f4").reshape(-1, counted["channels"])
    recorded, rate = soundfile.read(tmp_path / "take" / "loud.wav", dtype="float32")
    first = counted["first"]
    assert rate == RATE and len(heard) == counted["samples"] >= seconds * RATE and counted["missing"] == 0
    assert heard.tobytes() == recorded[first : first + len(heard)].tobytes()
    assert heard.any() and np.abs(heard - 0.5 * noise(first, len(heard), seed=3)).max() < 1e-6
    balanced(final)
    (tap,) = final["taps"]
    print(
        f"a client in C: {counted['frames']} frames, {len(heard)} samples bit-identical to the recording; "
        f"offered {tap['offered']} = delivered {tap['delivered']} + dropped {tap['dropped']}"
    )


def test_a_setting_from_c(listen: Path, config: Path, tmp_path: Path, private: Path) -> None:
    def change(*words: str) -> subprocess.CompletedProcess[str]:
        command = [listen.with_name("set"), folder_of(pipeline), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    with running(config, tmp_path / "take") as pipeline:
        done = change("loud", "gain", "0.25")
        assert (done.returncode, done.stdout) == (0, "ok\n")
        assert pipeline.state()["nodes"]["loud"]["settings"]["gain"] == 0.25
        wrong = change("loud", "gian", "0.25")
    assert wrong.returncode == 1
    assert wrong.stderr == "nodes.loud.gian: unknown setting, did you mean 'gain'?; known: gain\n"


def documented(heading: str) -> set[str]:
    """The keys in the table after a heading of the protocol's page."""
    after = PAGE.read_text(encoding="utf-8").partition(heading)[2]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    return {key for line in table.group().splitlines()[2:] for key in line.split("|")[1].strip().split(", ")}


def shown(snapshot: Any) -> set[str]:
    """The names of what a snapshot holds."""
    return {field.name for field in fields(snapshot)}


def test_the_snapshots_hold_what_the_page_says(config: Path, tmp_path: Path, private: Path) -> None:
    with running(config, tmp_path / "take") as pipeline:
        pipeline.play(1.0)
        description, meters, ledger = pipeline.client.describe(), pipeline.client.meters(), pipeline.client.ledger()
    assert shown(description) == documented("### Description")
    assert shown(meters) == documented("### Meters")
    assert shown(ledger) == documented("### Ledger")
    assert shown(ledger.nodes["loud"]) == documented("A node:")
    assert shown(ledger.links[0]) == documented("A link:")
    assert "rec.loud" in str(ledger.paths[0].measured)


def test_the_client_on_the_page_works_as_it_stands_there(config: Path, tmp_path: Path, private: Path) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    program = tmp_path / "levels.py"
    program.write_text(found.group(1))
    with running(config, tmp_path / "take"):
        command = [sys.executable, "-u", program, "wire", "loud.out"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            said = [client.stdout.readline() for _ in range(100)]  # more than its window of 8
            client.kill()
    assert "welcome" in said[0]
    positions = [int(line.split()[0]) for line in said[1:]]
    assert {b - a for a, b in zip(positions, positions[1:], strict=False)} == {480}
    assert all(line.endswith("dBFS\n") for line in said[1:])


def test_a_client_in_c_with_a_wrong_token_is_refused(listen: Path, config: Path, tmp_path: Path, private: Path) -> None:
    with running(config, tmp_path / "take") as pipeline:
        (tmp_path / "token").write_text("0" * 32)
        (tmp_path / "loud.out").symlink_to(folder_of(pipeline) / "loud.out")
        command = [listen, tmp_path, "loud.out", tmp_path / "heard.f32", "1"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert said.returncode == 1 and said.stderr == "refused\n"


def test_tap_records_the_link_and_a_tap_that_hangs_disturbs_nobody(
    config: Path, tmp_path: Path, proof_scale: float, private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = max(300 * proof_scale, 4)
    with running(config, tmp_path / "take") as pipeline:
        run = pipeline.supervisor.run_dir
        with Tap(run.endpoint("loud", "out"), run.token) as asleep:
            while asleep.take(0.05) is None:
                pass
            path = tmp_path / "tap.wav"
            assert main(["tap", "loud", "--wav", str(path), "--seconds", str(seconds)]) == 0
        pipeline.play(0.5)
        final = pipeline.finish()
    said = capsys.readouterr().out
    first = int(said.split("from position ")[1].split(",")[0].split("\n")[0])
    tapped, _ = soundfile.read(path, dtype="float32")
    recorded, _ = soundfile.read(tmp_path / "take" / "loud.wav", dtype="float32")
    assert len(tapped) == round(seconds * RATE) and "silence" not in said
    assert tapped.tobytes() == recorded[first : first + len(tapped)].tobytes()
    balanced(final)
    (tap,) = final["taps"]
    (link,) = [link for link in final["links"] if link["to"] == "rec.loud"]
    assert tap["dropped"].get("oldest", 0) > 0, "the one that hung lost frames"
    assert not link["dropped"], "and nobody else did"
    print(
        f"tap: {len(tapped)} samples bit-identical to the recording beside a tap that hung; taps lost "
        f"{tap['dropped']}, the recorder nothing"
    )
