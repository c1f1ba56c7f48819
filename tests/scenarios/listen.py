"""What is heard before and after something was done to a playing pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tests.scenarios.measure import Place, Song, Sound, level_db, longest_silence, shares_db
from tests.scenarios.stage import RATE, Show

BLOCK = RATE // 20
ENOUGH_BLOCKS = 6
BEFORE_S, AFTER_S = 1.0, 4.0
AUDIBLE_DB, SILENT_DB = -45.0, -80.0


class Shares(NamedTuple):
    """Gains in dB with which voice and band are in the mix."""

    voice: float
    band: float


def shares_before(show: Show) -> Shares:
    """In the second before the last deed."""
    return _shares(show, show.mark - round(BEFORE_S * RATE), show.mark)


def shares_after(show: Show) -> Shares:
    """Once its effect must be heard, as soon as enough of the voice was there."""
    stop = show.calm + round(AFTER_S * RATE)
    return _shares(show, show.calm, stop)


def _shares(show: Show, start: int, stop: int) -> Shares:
    """Only where both voice and band sound can it be told how loud they are mixed."""
    kept: list[tuple[Sound, ...]] = []
    for at in range(start, stop, BLOCK):
        blocks = tuple(show.recorded(name, at, at + BLOCK) for name in ("mix", "vocals", "accompaniment"))
        if min(level_db(block) for block in blocks[1:]) > AUDIBLE_DB and np.abs(blocks[0]).max() < 0.99:
            kept.append(blocks)
        if len(kept) >= 2 * ENOUGH_BLOCKS:
            break
    assert len(kept) >= ENOUGH_BLOCKS, "the voice was hardly separated: is this machine too busy?"
    mix, voice, band = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return Shares(*shares_db(mix, [voice, band]))


def is_silent(show: Show, ms: float, seconds: float = 0.5) -> bool:
    """From so long after the last deed on, for half a second."""
    start = show.audible_within(ms)
    return level_db(show.recorded("mix", start, start + round(seconds * RATE))) < SILENT_DB


def is_audible(show: Show, ms: float) -> bool:
    """For most of the half second from then on."""
    return _audible(show, show.audible_within(ms))


def was_audible(show: Show) -> bool:
    """For most of the half second before the last deed."""
    return _audible(show, show.mark - RATE // 2)


def _audible(show: Show, start: int) -> bool:
    return float(np.median([level_db(block) for block in _tenths(show, start, 5)])) > AUDIBLE_DB


def _tenths(show: Show, start: int, count: int) -> Iterator[Sound]:
    for number in range(count):
        at = start + number * RATE // 10
        yield show.recorded("mix", at, at + RATE // 10)


def places(show: Show, start: int, count: int = 5, song: Song | None = None) -> list[Place]:
    """Which places of a song the tenths of a second from `start` on are."""
    return [(song or show.song).place(block) for block in _tenths(show, start, count)]


def old_share_db(show: Show, ms: float) -> float:
    """How loud what was heard before would still be in what is heard so long after, next to the new place."""
    start, samples = show.audible_within(ms), RATE // 2
    before = show.mark - RATE // 10
    (old,), (new,) = places(show, before, 1), places(show, start, 1)
    went_on = show.song.at(old.seconds + (start - before) / RATE, samples)
    mix = show.recorded("mix", start, start + samples)
    return shares_db(mix, [show.song.at(new.seconds, samples), went_on])[1]


def longest_silence_ms(show: Show, start: int, stop: int) -> float:
    """In the recorded mix."""
    return longest_silence(show.recorded("mix", start, stop)) / RATE * 1000
