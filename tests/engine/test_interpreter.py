"""`python:` runs a node under another interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.control.events import NodeEvent
from audio_pipeline.errors import ConfigError
from audio_pipeline.supervisor import interpreter
from audio_pipeline.supervisor.interpreter import check_interpreters, command, kind_at, roots
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.environments import environment
from tests.engine.graphs import graph_of, noise
from tests.patience import PATIENCE_S

RATE = 48_000
TONE = """
import json, pathlib, sys
pathlib.Path(__file__).with_name("known").write_text(json.dumps(sorted(sys.modules)))
"""
NARROW = """
song: {kind: noise, seconds: 1, block: BLOCK}
low: {kind: narrow, PYTHON, in: song}
out: {kind: sink, inputs: {a: low}}
"""


def script(folder: Path, text: str) -> Path:
    """An executable file that is no Python of ours."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def said(python: Path) -> str:
    with pytest.raises(ConfigError) as error:
        check_interpreters(graph_of(f"a: {{kind: noise, python: {python}}}"))
    return str(error.value)


def test_an_interpreter_with_three_packages_will_do(tmp_path: Path) -> None:
    check_interpreters(graph_of(f"a: {{kind: noise, python: {environment(tmp_path / 'thin')}}}"))


def test_what_an_environment_lacks_is_said_with_the_command_that_mends_it(tmp_path: Path) -> None:
    python = environment(tmp_path / "thin", ("numpy",))
    assert said(python) == (
        f"nodes.a.python: '{python}' lacks pyzmq>=25, msgpack>=1: "
        f"{python} -m pip install 'pyzmq>=25' 'msgpack>=1' (p.yaml:5)"
    )
    for name in ("zmq", "msgpack"):
        made = environment(tmp_path / name, (name,)).parents[1].glob("lib/*/site-packages/*")
        for link in made:
            link.rename(next((tmp_path / "thin").glob("lib/*/site-packages")) / link.name)
    check_interpreters(graph_of(f"a: {{kind: noise, python: {python}}}"))  # mended, and asked again


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 3", "is no Python interpreter that starts (exit code 3)"),
        ("echo hello", "is no Python interpreter that starts (it does not answer as Python does)"),
        ("echo 5", "is no Python interpreter that starts (it does not answer as Python does)"),
        (
            """echo '{"python": "3.8", "numpy": "1.24.4", "zmq": "26.0", "msgpack": "1.1.0"}'""",
            "is Python 3.8, expected 3.10 to 3.14: make the environment with one of these",
        ),
        ("""echo '{"python": "3.11", "numpy": "1.21.4", "zmq": "26.0", "msgpack": "1.1.0"}'""", "lacks numpy>=1.23: "),
    ],
)
def test_what_is_no_interpreter_for_us_is_said(tmp_path: Path, text: str, words: str) -> None:
    python = script(tmp_path, text)
    assert said(python).startswith(f"nodes.a.python: '{python}' {words}")


def test_two_nodes_that_cannot_convert_need_one_rate_or_soxr(tmp_path: Path) -> None:
    python = environment(tmp_path / "thin")
    nodes = f"""
song: {{kind: noise}}
low: {{kind: narrow, rate: 16000, in: song, python: {python}}}
lower: {{kind: narrow, rate: RATE, in: low, python: {python}}}
out: {{kind: fader, in: lower}}
"""
    check_interpreters(graph_of(nodes.replace("RATE", "16000")))
    with pytest.raises(ConfigError) as error:
        check_interpreters(graph_of(nodes.replace("RATE", "8000")))
    assert str(error.value) == (
        "nodes.lower.in: its input rate is 8000 Hz, low sends 16000 Hz, and neither's interpreter has soxr to convert: "
        f"{python} -m pip install soxr (p.yaml:7)"
    )


def test_only_named_packages_get_onto_its_path(tmp_path: Path) -> None:
    """Neither our site-packages, nor the folder we start from, nor PYTHONPATH."""
    package = tmp_path / "elsewhere" / "extra_kinds"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "tone.py").write_text(TONE)
    python = environment(tmp_path / "thin")
    start, isolated, *options = command(str(python), [f"extra_kinds={package}"])
    subprocess.run(
        [start, isolated, *options, str(os.getpid()), "soxr", "yaml", "extra_kinds.tone"],
        stdin=subprocess.DEVNULL,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(interpreter.PACKAGE.parent)},
    )
    known = set(json.loads((package / "known").read_text()))
    assert {"extra_kinds", "audio_pipeline.worker.main", "zmq"} <= known
    assert not {"soxr", "yaml", "psutil"} & known, "a node's process has and needs none of these"


def test_kinds_of_entry_points_are_named_by_module() -> None:
    other = f"python: {sys.executable}"
    ours = graph_of(f"a: {{kind: meter, in: b, {other}}}\nb: {{kind: noise, {other}}}")
    specs = list(ours.nodes.values())
    assert [kind_at(spec) for spec in specs] == ["", ""] and roots(specs) == []
    specs[0].cls.__module__, was = "json.tool", specs[0].cls.__module__
    try:
        assert kind_at(specs[0]) == "json.tool:Meter"
        assert roots(specs) == [f"json={Path(json.__file__).parent}"]
    finally:
        specs[0].cls.__module__ = was


# -- rate conversion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 17, 480, 1024, 48_000])
def test_the_producer_converts_for_it_and_the_samples_are_the_same(tmp_path: Path, block: int) -> None:
    sounds = []
    for python in ("rate: 16000", f"python: {sys.executable}"):
        graph = graph_of(NARROW.replace("PYTHON", python).replace("BLOCK", str(block)))
        with LocalGraph(graph, tmp_path) as local:
            converters = [item.converter for item in local.runners["low"].inputs.values()]
            local.run_to_end()
            sounds.append(local.runners["out"].node.sound("a"))  # type: ignore[attr-defined]
            used = converters[0]._resampler is not None
            assert used is (python == "rate: 16000"), "where it is converted"
    assert len(sounds[0]) == RATE
    np.testing.assert_array_equal(sounds[0], sounds[1])


def test_a_consumer_that_comes_back_hears_converted_history(tmp_path: Path) -> None:
    """What is heard after a restart is what would have been heard; the join is the consumer's to repair."""
    nodes = """
song: {kind: noise}
low: {kind: narrow, PYTHON, in: song}
mix: {kind: sum, inputs: {a: {from: low, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""
    sounds = []
    for python in ("rate: 16000", f"python: {sys.executable}"):
        with LocalGraph(graph_of(nodes.replace("PYTHON", python)), tmp_path, live=True) as local:
            local.run_until(local.clock.now_ns() + 2_000_000_000)
            local.kill("low")
            local.run_until(local.clock.now_ns() + 300_000_000)
            local.revive("low")
            local.run_until(local.clock.now_ns() + 2_000_000_000)
            sounds.append(local.runners["out"].node.sound("a"))  # type: ignore[attr-defined]
    tail = slice(3 * RATE, 4 * RATE)
    assert np.abs(sounds[1][tail]).max() > 0.1
    np.testing.assert_allclose(sounds[0][tail], sounds[1][tail], atol=1e-4)  # the filter's phase differs: -80 dB


@pytest.mark.slow
def test_a_node_runs_under_another_interpreter_and_comes_out_the_same(tmp_path: Path) -> None:
    python = environment(tmp_path / "thin")
    nodes = f"""
song: {{kind: noise, seconds: 2}}
fade: {{kind: fader, gain: 0.5, python: {python}, in: song}}
low: {{kind: narrow, python: {python}, in: song}}
rec: {{kind: recorder, subtype: float32, inputs: {{a: {{from: fade, policy: block}}, b: {{from: low, policy: block}}}}}}
"""
    supervisor = Supervisor(graph_of(nodes), offline=True, folder=tmp_path)
    supervisor.start()
    assert supervisor.wait(PATIENCE_S) and supervisor.error is None, supervisor.error
    kept = supervisor.parts.events.kept
    places = [event.data for event in kept if isinstance(event, NodeEvent) and event.kind == "place"]
    assert [(place["python"], place["here"]) for place in places] == [(str(python), ["numpy", "zmq", "msgpack"])]
    sound, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_array_equal(sound, noise(0, 2 * RATE) * np.float32(0.5))
    assert len(soundfile.read(tmp_path / "b.wav")[0]) == 2 * RATE
