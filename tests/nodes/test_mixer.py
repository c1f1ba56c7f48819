from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audio_pipeline.dsp.ramp import db_to_gain
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Flag, Frame, Samples, audio_frame
from audio_pipeline.nodes.mixer import NODE, Duck, InputSettings, Mixer, Settings
from tests.nodes.fake import FakeContext, noise

RATE, FRAME = 48_000, 480


def mixer(ctx: FakeContext, settings: Settings | None = None, **inputs: InputSettings) -> Mixer:
    node = NODE(settings)
    node.input_settings = dict(inputs)
    node.open(ctx)
    return node


def mix(node: Mixer, ctx: FakeContext, position: int, **inputs: Samples) -> None:
    """One frame of each input."""
    node.process({name: audio_frame(x, position, RATE, captured_ns=7) for name, x in inputs.items()}, ctx)


def set_input(node: Mixer, ctx: FakeContext, name: str, **values: Any) -> None:
    """As the engine does it: the settings first, then the node is told."""
    node.input_settings[name] = replace(node.input_settings[name], **values)
    for key, value in values.items():
        node.on_param(f"inputs.{name}.{key}", value, 0, ctx)


def test_mix_is_the_sum() -> None:
    ctx, a, b = FakeContext(), noise(FRAME, seed=1), noise(FRAME, seed=2)
    node = mixer(ctx, a=InputSettings(), b=InputSettings(gain_db=-20.0))
    mix(node, ctx, 960, a=a, b=b)
    assert ctx.emitted() == pytest.approx(a + b * np.float32(0.1), abs=1e-7)
    assert ctx.sent["out"][0].position == 960


def test_direct_outputs_are_before_the_fader() -> None:
    ctx, a = FakeContext(), noise(FRAME)
    node = mixer(ctx, a=InputSettings(mute=True))
    mix(node, ctx, 0, a=a)
    assert np.array_equal(ctx.emitted("direct_a"), a)
    assert not ctx.emitted().any()
    assert NODE.ports(Settings(), ("a", "mic")).outputs == ("out", "direct_a", "direct_mic")


@pytest.mark.parametrize("frame", [1, 17, 480, 4_800])
def test_fader_moves_in_20_ms_at_any_frame_size(frame: int) -> None:
    ctx, one = FakeContext(), np.ones((4_800, 2), np.float32)
    node = mixer(ctx, a=InputSettings())
    set_input(node, ctx, "a", gain_db=-60.0)
    for position in range(0, 4_800, frame):
        mix(node, ctx, position, a=one[position : position + frame])
    out = ctx.emitted()[:, 0]
    ramp = RATE // 50
    assert np.abs(np.diff(out)).max() <= 1 / ramp + 1e-6  # a straight line: no step, no click
    assert out[ramp - 1 :] == pytest.approx(db_to_gain(-60.0), abs=1e-6)


def test_solo_silences_the_others_and_mute_wins() -> None:
    ctx, one = FakeContext(), np.ones((9_600, 2), np.float32)
    muted = InputSettings(mute=True, solo=True)
    node = mixer(ctx, a=InputSettings(), b=InputSettings(gain_db=-20.0), c=muted)
    set_input(node, ctx, "b", solo=True)
    mix(node, ctx, 0, a=one, b=one, c=one)
    assert ctx.emitted()[-1] == pytest.approx([0.1, 0.1], abs=1e-6)


def test_a_restarted_mixer_starts_where_its_fader_stands() -> None:
    ctx, one = FakeContext(incarnation=1), np.ones((FRAME, 2), np.float32)
    node = mixer(ctx, Settings(gain_db=-6.0), a=InputSettings(gain_db=-14.0))
    mix(node, ctx, 0, a=one)
    assert ctx.emitted() == pytest.approx(0.1, abs=1e-6)  # from the first sample on


def test_over_full_scale_is_kept_and_counted() -> None:
    ctx, loud = FakeContext(), np.full((FRAME, 2), 0.9, np.float32)
    node = mixer(ctx, a=InputSettings(), b=InputSettings())
    mix(node, ctx, 0, a=loud, b=loud)
    assert ctx.emitted() == pytest.approx(1.8)
    assert ctx.counters["overs"] == 2 * FRAME


def test_concealed_input_marks_the_mix_and_its_own_track() -> None:
    ctx, a = FakeContext(), noise(FRAME)
    node = mixer(ctx, a=InputSettings(), b=InputSettings())
    frames: dict[str, Frame] = {
        "a": audio_frame(a, 0, RATE, captured_ns=50),
        "b": audio_frame(a, 0, RATE, captured_ns=20, flags=Flag.CONCEALED),
    }
    node.process(frames, ctx)
    assert ctx.sent["out"][0].flags == ctx.sent["direct_b"][0].flags == Flag.CONCEALED
    assert ctx.sent["direct_a"][0].flags == Flag.NONE
    assert ctx.sent["out"][0].captured_ns == 50  # what was made up has no age


def test_the_band_steps_back_while_somebody_speaks() -> None:
    """Once the 60 ms of attack are over it is 12 dB lower, and its own track stays as it is."""
    ctx, band, voice = FakeContext(), noise(48_000, seed=1), np.zeros((48_000, 2), np.float32)
    voice[24_000:] = 0.2
    node = mixer(ctx, band=InputSettings(duck=Duck(by="voice")), voice=InputSettings())
    for position in range(0, 48_000, FRAME):
        at = slice(position, position + FRAME)
        mix(node, ctx, position, band=band[at], voice=voice[at])
    ducked = ctx.emitted() - voice
    assert np.array_equal(ducked[:24_000], band[:24_000])
    assert ducked[28_000:] == pytest.approx(band[28_000:] * db_to_gain(-12.0), abs=1e-6)
    assert np.array_equal(ctx.emitted("direct_band"), band)


def test_a_muted_voice_takes_nobody_back() -> None:
    ctx, band, voice = FakeContext(), noise(FRAME * 20, seed=1), np.full((FRAME * 20, 2), 0.2, np.float32)
    node = mixer(ctx, band=InputSettings(duck=Duck(by="voice")), voice=InputSettings(mute=True))
    mix(node, ctx, 0, band=band, voice=voice)
    assert np.array_equal(ctx.emitted(), band)


def test_whom_to_step_back_for_must_be_there() -> None:
    with pytest.raises(ConfigError, match="inputs.band.duck.by: no input 'voise', did you mean 'voice'"):
        mixer(FakeContext(), band=InputSettings(duck=Duck(by="voise")), voice=InputSettings())
