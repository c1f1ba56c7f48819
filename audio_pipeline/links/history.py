"""What a port remembers of its stream, for consumers that come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from audio_pipeline.frame import Flag
from audio_pipeline.frame_codec import flagged
from audio_pipeline.links.credit import Item


class History:
    """The newest packed frames, by position."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def note(self, item: Item, samples: int) -> None:
        """Keeps the newest `samples`; with 0 nothing is added."""
        if samples <= 0:
            return
        self._items.append(item)
        while item.position - self._items[0].position > samples:
            self._items.popleft()

    def since(self, position: int, before_seq: int) -> list[Item]:
        """Frames from a position on with numbers below `before_seq`, marked REPLAY."""
        return [
            replayed(item)
            for item in self
            if (item.end > position or item.position >= position) and item.seq < before_seq
        ]

    def cancel(self, generation: int) -> None:
        """Forgets older generations."""
        self._items = deque(item for item in self._items if item.generation >= generation)

    def clear(self) -> None:
        self._items.clear()


def replayed(item: Item) -> Item:
    """The item as it is sent again."""
    return item._replace(message=flagged(item.message, Flag.REPLAY))
