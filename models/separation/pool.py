"""The models that the separators of one process share, each with the threads that run it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from audio_pipeline.models.separation.batching import Batcher
from audio_pipeline.models.separation.types import Model
from audio_pipeline.models.separation.workers import Seated

M = TypeVar("M", bound=Model)


@dataclass(eq=False)
class _Shared(Generic[M]):
    """A loaded model, how many hold it, and its batchers with the seats taken in each."""

    model: M
    holders: int = 0
    seats: dict[Batcher, int] = field(default_factory=dict)


class Pool(Generic[M]):
    """Models by key: loaded for the first who holds one, dropped after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[Hashable, _Shared[M]] = {}

    def hold(self, key: Hashable, load: Callable[[], M]) -> M:
        """The model, loaded where nobody holds it yet; others wait meanwhile."""
        with self._lock:
            shared = self._models.get(key)
            if shared is None:
                shared = self._models[key] = _Shared(load())
            shared.holders += 1
            return shared.model

    def drop(self, key: Hashable) -> None:
        """Held once less."""
        with self._lock:
            shared = self._models[key]
            shared.holders -= 1
            if not shared.holders:
                del self._models[key]

    def seat(
        self, key: Hashable, stream: str, wake: Callable[[], None], capacity: int = 1, *, fixed: bool = True
    ) -> Seated:
        """A place for a stream at a held model: with others while there is room, else at a batcher of its own."""
        with self._lock:
            seats = self._models[key].seats
            batcher = next((b for b, taken in seats.items() if taken < capacity == b.places.capacity), None)
            if batcher is None:
                batcher = Batcher(self._models[key].model, capacity, fixed=fixed)
            seats[batcher] = seats.get(batcher, 0) + 1
        return Seated(batcher, stream, wake, lambda: self._leave(seats, batcher))

    def _leave(self, seats: dict[Batcher, int], batcher: Batcher) -> None:
        with self._lock:
            seats[batcher] -= 1
            last = not seats[batcher]
            if last:
                del seats[batcher]
        if last:
            batcher.close()


SHARED: Pool[Any] = Pool()  # of this process
