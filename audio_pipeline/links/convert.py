"""Frames at the rate that one consumer wants, for consumers that cannot convert: nodes of another interpreter."""

from __future__ import annotations

from audio_pipeline.frame import Flag, Frame
from audio_pipeline.frame_codec import MAX_AGE_US, pack_as
from audio_pipeline.links.credit import Item
from audio_pipeline.links.history import History
from audio_pipeline.links.ports import Converter


class Converted:
    """One consumer's view of a stream: the same frames by number, at its rate, and their history."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._converter = Converter(rate, None)
        self.history = History()

    def item(self, frame: Frame, item: Item, history_samples: int, *, epoch: int, sent_age_us: int) -> Item:
        """`frame`, packed as `item`, at the wanted rate; it may be empty while the filter fills."""
        if frame.flags & Flag.DISCONTINUITY:
            self._converter.reset()
        converted = self._converter.convert(frame)
        if converted.rate != frame.rate:
            older_us = max(frame.captured_ns - converted.captured_ns, 0) // 1000
            message = pack_as(converted, item.seq, epoch, min(sent_age_us + older_us, MAX_AGE_US))
            item = item._replace(position=converted.position, end=converted.end, message=message)
        if history_samples and (converted.samples or item.last or frame.event is not None):
            self.history.note(item, round(history_samples * self._rate / frame.rate))
        return item

    def cancel(self, generation: int) -> None:
        """Forgets what is of an older generation."""
        self._converter.reset()
        self.history.cancel(generation)
