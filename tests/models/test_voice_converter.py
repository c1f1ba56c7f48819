"""A converter from what somebody asks for: enrolled voices, the host's policy, other engines."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyworld")

from audio_pipeline.dsp.envelope import POINTS
from audio_pipeline.dsp.pitch import PitchSpread
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.convert.blocks import BlockConverter
from audio_pipeline.models.convert.target import Target
from audio_pipeline.models.convert.world_voice import WorldConverter
from audio_pipeline.models.voices import by_name, policy
from audio_pipeline.models.voices.converter import Wish, open_converter
from audio_pipeline.models.weights import store
from tests.models.test_convert_blocks import Same
from tests.models.test_world_voice import vowel

RATE = 16_000
NUMBERS = Target(PitchSpread(float(np.log(220)), 0.2), np.zeros(POINTS), np.zeros(256, np.float32)).numbers()


@pytest.fixture(autouse=True)
def _networks() -> None:
    if any(store.locate(name).folder is None for name in ("perth", "ge2e")):
        pytest.skip("the weights are not here (audio-pipeline models fetch perth ge2e)")


@pytest.fixture
def enrolled(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A library of one voice, `anna`, whose record and sample a test may change."""
    record = SimpleNamespace(target=NUMBERS)
    known = {"voice": SimpleNamespace(record=record, embedding=np.ones(256, np.float32) / 16), "sample": None}
    find = {"enrolled_voice": "voice", "enrolled_sample": "sample"}
    for name, key in find.items():
        monkeypatch.setattr(by_name, name, lambda who, key=key: known[key] if who == "anna" else None, raising=False)
    return known


def test_an_enrolled_voice_is_the_target(enrolled: dict[str, Any]) -> None:
    ready = open_converter(Wish(voice="anna"), RATE)
    y = ready.blocks.process(vowel(3.0, rate=RATE))
    assert len(y) > 2 * RATE and ready.gauges()["f0_hz"] == pytest.approx(120, rel=0.1)
    (finding,) = ready.findings()[:1]
    assert finding["how"] == "guess" and finding["formant"] > 1.05, "most of an octave up"


@pytest.mark.parametrize("target", [None, {"log_f0_mean": 5.0}])
def test_a_voice_without_its_numbers_needs_its_sample(
    enrolled: dict[str, Any], target: dict[str, float] | None
) -> None:
    enrolled["voice"].record.target = target
    with pytest.raises(ConfigError, match=r"voice 'anna'.*(without keeping its sample|enrol it again)"):
        open_converter(Wish(voice="anna"), RATE)


def test_the_sample_of_a_voice_is_read_from_its_flac(enrolled: dict[str, Any]) -> None:
    enrolled["voice"].record.target = None
    file = io.BytesIO()
    soundfile.write(file, np.zeros(RATE * 3), RATE, format="FLAC")
    enrolled["sample"] = (file.getvalue(), Path())
    with pytest.raises(ConfigError, match=r"voice 'anna': a target needs 2 s of speech or more, this has 0\.0 s"):
        open_converter(Wish(voice="anna"), RATE)


@pytest.mark.parametrize("marks", [True, False])
def test_the_hosts_policy_decides_whether_the_mark_may_be_left_out(
    monkeypatch: pytest.MonkeyPatch, marks: bool
) -> None:
    monkeypatch.setattr(policy, "read_policy", lambda: SimpleNamespace(watermark=marks))
    if marks:
        with pytest.raises(ConfigError, match="watermark: false requires the same in this host's voice policy"):
            open_converter(Wish(watermark=False), RATE)
        return
    x, plain = vowel(1.0, rate=RATE), BlockConverter(WorldConverter(None), RATE)
    y = open_converter(Wish(watermark=False), RATE).blocks.process(x)
    assert np.array_equal(y, plain.process(x)), "nothing was added"


def test_another_engine_gets_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def opened(engine: str, x: np.ndarray, rate: int, **more: Any) -> Same:
        asked.append((engine, x.shape, rate, more))
        return Same(22_050)

    pytest.importorskip("torch")
    monkeypatch.setattr("audio_pipeline.models.convert.coqui_vc.open_converter", opened)
    ready = open_converter(Wish(sample=(np.zeros((8_000, 2), np.float32), RATE), engine="freevc", threads=2), 44_100)
    assert asked == [("freevc", (8_000,), RATE, {"threads": 2})]
    assert ready.blocks.block == 44_100 // 4 + 1 and ready.gauges() == {} and ready.findings() == []
    ready.change("formant", 1.2)
    ready.restore(ready.state())


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audio_pipeline.models.convert.coqui_vc", None)
    with pytest.raises(ConfigError, match="engine 'openvoice' is not installed here"):
        open_converter(Wish(sample=(np.zeros((8_000, 1), np.float32), RATE), engine="openvoice"), RATE)


def test_without_a_target_settings_can_be_changed() -> None:
    ready = open_converter(Wish(), RATE)
    ready.change("formant", 0.8)
    ready.change("pitch_semitones", 2.0)
    assert ready.gauges()["formant"] == pytest.approx(0.8)
    ready.change("formant", None)
    assert ready.gauges()["formant"] == pytest.approx(1.0)
