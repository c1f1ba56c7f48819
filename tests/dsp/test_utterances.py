import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.hysteresis import Gate, Hysteresis
from audio_pipeline.dsp.utterances import Piece, Samples, Utterance, Utterances
from tests.dsp.chunking import SIZES, chunks, noise

RATE, DETECT_RATE, WINDOW = 48_000, 16_000, 320


def loud(x: Samples) -> float:
    return float(np.mean(np.abs(x) > 0.02) > 0.25)


def finder(gate: bool = False) -> Utterances:
    hysteresis = Hysteresis(0.5, 0.35, 2_400, 4_800, 1_200)
    return Utterances(RATE, loud, DETECT_RATE, WINDOW, hysteresis, Gate(240, 0, 240) if gate else None)


def speech(n: int) -> Samples:
    """Loud from 0.2 to 0.5 s and from 0.8 s on."""
    x: Samples = noise(n) * np.float32(0.01)
    x[9_600:24_000] = noise(max(min(n, 24_000) - 9_600, 0), seed=1)
    x[38_400:] = noise(max(n - 38_400, 0), seed=2)
    return x


def collect(
    found: list[tuple[list[Piece], list[Utterance]]],
) -> tuple[Samples, list[Utterance], list[tuple[int, bool, bool]]]:
    """All sound, all utterances, and the marks by position; asserts that the pieces join."""
    pieces = [piece for part, _ in found for piece in part]
    for left, right in zip(pieces, pieces[1:], strict=False):
        assert left.position + len(left.data) == right.position
    sound = np.concatenate([np.zeros((0, 2), np.float32), *(piece.data for piece in pieces)])
    marks = [(piece.position, piece.starts, piece.ends) for piece in pieces if piece.starts or piece.ends]
    return sound, [utterance for _, utterances in found for utterance in utterances], marks


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_streamed_is_one_shot(size: int, gate: bool) -> None:
    x, whole, cut = speech(57_600 if size > 1 else 28_800), finder(gate), finder(gate)
    expected = collect([whole.push(7, x), whole.flush()])
    found = collect([*(cut.push(7 + at, part) for at, part in chunks(x, size)), cut.flush()])
    assert np.array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]


@given(st.lists(st.integers(0, 9_000), max_size=12), st.integers(0, 1_000_000))
def test_every_edge_is_marked_once_and_every_sample_comes_back(sizes: list[int], start: int) -> None:
    x, stream, at, found = speech(sum(sizes)), finder(), 0, []
    for size in sizes:
        found.append(stream.push(start + at, x[at : at + size]))
        at += size
    sound, utterances, marks = collect([*found, stream.flush()])
    assert np.array_equal(sound, x)
    over = [utterance for utterance in utterances if utterance.end is not None]
    edges = sorted({start for start, _ in over} | {end - 1 for _, end in over if end is not None})
    assert [position for position, _, _ in marks] == edges
    for first, last in over:
        assert last is not None
        assert start <= first < last <= start + len(x)


def test_nothing_gives_nothing() -> None:
    assert finder().flush() == ([], [])
