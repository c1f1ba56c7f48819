import numpy as np
import pytest

from audio_pipeline.frame import audio_frame
from audio_pipeline.nodes.meter import NODE, Settings
from tests.nodes.fake import FakeContext, noise, run, sine

RATE = 48_000


def test_sound_passes_unchanged() -> None:
    ctx, x = FakeContext(), noise(4_321)
    run(NODE(), ctx, x, 480)
    assert np.array_equal(ctx.emitted(), x)


def test_full_scale_sine_reads_0_dbfs_peak_and_minus_3_rms() -> None:
    ctx = FakeContext()
    run(NODE(), ctx, sine(RATE, RATE, level=1.0), 480)
    level = ctx.events[-1].data
    assert level["peak_db"] == pytest.approx([0.0, 0.0], abs=0.01)
    assert level["rms_db"] == pytest.approx([-3.01, -3.01], abs=0.01)
    assert ctx.gauges["rms_db"] == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("size", [1, 17, 480, 1024, 1 << 20])
def test_events_do_not_depend_on_block_size(size: int) -> None:
    whole, cut = FakeContext(), FakeContext()
    x = noise(24_000 + 123)
    run(NODE(), whole, x, len(x))
    run(NODE(), cut, x, size)
    assert cut.events == whole.events
    assert [event.position for event in cut.events] == [4_800, 9_600, 14_400, 19_200, 24_000]


def test_events_can_be_rarer() -> None:
    ctx = FakeContext()
    run(NODE(Settings(every_windows=5)), ctx, noise(RATE), 480)
    assert [event.position for event in ctx.events] == [24_000, 48_000]


def test_silence_reads_minus_120() -> None:
    ctx = FakeContext()
    run(NODE(), ctx, np.zeros((4_800, 1), np.float32), 480)
    assert ctx.events[0].data["peak_db"] == [-120.0]


def test_channels_may_change() -> None:
    ctx, node = FakeContext(), NODE()
    node.open(ctx)
    node.process({"in": audio_frame(noise(4_800, 2), 0, RATE)}, ctx)
    node.process({"in": audio_frame(noise(4_800, 6), 4_800, RATE)}, ctx)
    assert [len(event.data["rms_db"]) for event in ctx.events] == [2, 6]
