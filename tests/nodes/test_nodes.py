"""What holds for every node."""

import dataclasses
import subprocess
import sys

import pytest

from audio_pipeline.graph.registry import kinds
from audio_pipeline.node import Node
from audio_pipeline.settings import rule_of
from tests.shared import ROOT

KINDS = kinds()
HEAVY = (
    "audio_pipeline.models.separation.spleeter",
    "av",
    "librosa",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "sounddevice",
    "soundfile",
    "torch",
    "webrtcvad",
)


def test_all_kinds_are_there() -> None:
    expected = {"capture", "file_source", "meter", "mixer", "playback", "recorder", "separate", "vad"}
    assert expected <= set(KINDS)


def test_importing_every_node_loads_nothing_heavy() -> None:
    """In an interpreter of its own; device and model packages are for `open`."""
    program = (
        "import sys; from audio_pipeline.graph.registry import kinds; from audio_pipeline.node import Node\n"
        "for cls in kinds().values():\n"
        "    cls.ports(cls.Settings(), ('a', 'b')); cls.clock_domain(cls.Settings())\n"
        "    cls.estimate(cls.Settings(), 48000)\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("kind", KINDS)
def test_class_and_file_are_named_alike_and_documented(kind: str) -> None:
    cls = KINDS[kind]
    assert cls.__name__ == "".join(part.capitalize() for part in kind.split("_"))
    assert issubclass(cls, Node)
    assert cls.__doc__ and len(cls.__doc__.splitlines()[0]) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_says_what_it_is_and_in_which_unit(kind: str) -> None:
    for settings in (KINDS[kind].Settings, KINDS[kind].InputSettings):
        assert dataclasses.is_dataclass(settings)
        for field in dataclasses.fields(settings):
            rule = rule_of(field)
            assert rule.doc, f"{kind}.{field.name} has no description"
            for suffix, unit in (("_ms", "ms"), ("_s", "s"), ("_db", "dB"), ("_hz", "Hz")):
                if field.name.endswith(suffix):
                    assert rule.unit == unit, f"{kind}.{field.name}"
