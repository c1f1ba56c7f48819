"""Another language on the wire: a client in C, written from the protocol's page, joins a running graph as a guest."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.cli import main
from audio_pipeline.guest import Guest
from tests.engine.graphs import noise, text_of
from tests.proofs.live import Pipeline, State, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
SOURCE = Path(__file__).resolve().parents[2] / "examples" / "c" / "listen.c"
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
    program = tmp_path_factory.mktemp("c") / "listen"
    probe = [compiler, "-E", "-include", "zmq.h", "-x", "c", "/dev/null"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no zmq.h (Debian: libzmq3-dev)")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE, "-lzmq"], check=True)
    return program


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "wire.yaml"
    path.write_text(text_of(GRAPH, name="wire"))
    return path


def balanced(final: State) -> None:
    """Every frame that was offered, to the graph's own and to guests, is accounted for."""
    assert all(link["balanced"] for link in final["links"])
    for guest in final["guests"]:
        accounted = guest["delivered"] + sum(guest["dropped"].values()) + guest["queued"] + guest["in_flight"]
        assert guest["balanced"] and guest["offered"] == accounted, guest
    assert {guest["from"] for guest in final["guests"]} == {"loud.out"}


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
    (guest,) = final["guests"]
    print(f"a client in C: {counted['frames']} frames, {len(heard)} samples bit-identical to the recording; "
          f"offered {guest['offered']} = delivered {guest['delivered']} + dropped {guest['dropped']}")  # fmt: skip


def test_a_client_in_c_with_a_wrong_token_is_refused(
    listen: Path, config: Path, tmp_path: Path, private: Path
) -> None:
    with running(config, tmp_path / "take") as pipeline:
        (tmp_path / "token").write_text("0" * 32)
        (tmp_path / "loud.out").symlink_to(folder_of(pipeline) / "loud.out")
        command = [listen, tmp_path, "loud.out", tmp_path / "heard.f32", "1"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert said.returncode == 1 and said.stderr == "refused\n"


def test_tap_records_the_link_and_a_guest_that_hangs_disturbs_nobody(
    config: Path, tmp_path: Path, proof_scale: float, private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = max(300 * proof_scale, 4)
    with running(config, tmp_path / "take") as pipeline:
        run = pipeline.supervisor.run_dir
        with Guest(run.endpoint("loud", "out"), run.token) as asleep:
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
    (guest,) = final["guests"]
    (link,) = [link for link in final["links"] if link["to"] == "rec.loud"]
    assert guest["dropped"].get("oldest", 0) > 0, "the one that hung lost frames"
    assert not link["dropped"], "and nobody else did"
    print(f"tap: {len(tapped)} samples bit-identical to the recording beside a guest that hung; guests lost "
          f"{guest['dropped']}, the recorder nothing")  # fmt: skip
