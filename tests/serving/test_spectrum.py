"""The window that a host makes is the one that the client cut, whatever was skipped on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import WireError
from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
from audio_pipeline.models.separation.grid import ladder_rungs
from audio_pipeline.models.separation.stream import SeparatorStream
from audio_pipeline.models.separation.types import SeparatorSettings
from audio_pipeline.serving.spectrum import FrameMemory, Sent, longest_window
from tests.dsp.chunking import noise
from tests.models.fake_model import FakeModel

KEEP = longest_window(SPLEETER_2STEMS)
SETTINGS = SeparatorSettings("balanced", 8)


@given(st.lists(st.sampled_from(["ask", "ask", "ask", "skip", "step down", "step up", "new host", "new stream"])))
def test_the_host_sees_what_the_client_cut(deeds: list[str]) -> None:
    stream, sent, memory = SeparatorStream(FakeModel(), SETTINGS), Sent(KEEP), FrameMemory(SPLEETER_2STEMS, KEEP + 32)
    rungs, at, x = ladder_rungs(SPLEETER_2STEMS, SETTINGS), 0, noise(64 * 1_024)
    for deed in deeds:
        if deed == "new host":
            sent, memory = Sent(KEEP), FrameMemory(SPLEETER_2STEMS, KEEP + 32)
        elif deed == "new stream":
            stream.reset()
            sent = Sent(KEEP)
            memory.forget()
        at = {"step down": min(at + 1, len(rungs) - 1), "step up": max(at - 1, 0)}.get(deed, at)
        stream.take_rung(rungs[at])
        while (window := stream.pending()) is None:
            stream.push(x[: 8 * 1_024])
        if deed != "skip":
            new = sent.missing(window.first_frame, window.first_frame + len(window.frames))
            memory.add(new.start, window.frames[new.start - window.first_frame :].tobytes() if len(new) else b"")
            assert np.array_equal(memory.window(window.first_frame, len(window.frames)), window.frames)
        stream.skip(window)


def test_a_hop_brings_its_frames_alone() -> None:
    sent = Sent(128)
    assert len(sent.missing(-100, 28)) == 28
    assert [len(sent.missing(28 + 8 * k - 128, 28 + 8 * k)) for k in range(1, 30)] == [8] * 29


@pytest.mark.parametrize("size", [1, 8_191, (KEEP + 1) * 8_192])
def test_frames_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(WireError, match=f"frames of {size} bytes, expected at most 128 of 8192"):
        FrameMemory(SPLEETER_2STEMS, KEEP).add(0, bytes(size))


def test_a_window_of_frames_that_were_not_sent_is_refused() -> None:
    memory = FrameMemory(SPLEETER_2STEMS, KEEP)
    memory.add(10, bytes(8 * 8_192))
    for first, length in ((9, 8), (11, 8), (18, 1), (-3, 12)):
        with pytest.raises(WireError, match="expected within 10 .. 18"):
            memory.window(first, length)
    assert memory.window(10, 8).shape == (8, 1_024, 2)
