"""Whether a pipeline has started, is to end, or has failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from audio_pipeline.errors import PipelineError

FINISH_S = 5.0  # from the request to end until whoever is left is ended
GIVE_UP_S = 1.0  # the same after an error


class Lifecycle:
    """One for a pipeline. `stop` may be called from any thread, all else from the supervisor's."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.error: PipelineError | None = None
        self.exit_code = 0
        self.finishing_s: float | None = None  # since when it ends, on `now_s`
        self._now_s = now_s
        self._started_s: float | None = None
        self._stop = threading.Event()

    @property
    def started(self) -> bool:
        """True once every node was ready and the clock runs."""
        return self._started_s is not None

    @property
    def uptime_s(self) -> float:
        """Since the clock started."""
        return 0.0 if self._started_s is None else self._now_s() - self._started_s

    @property
    def ending(self) -> bool:
        """True once the nodes were asked to end."""
        return self.finishing_s is not None

    @property
    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def start(self) -> None:
        """The clock starts now."""
        self._started_s = self._now_s()

    def stop(self) -> None:
        """Requests a clean end."""
        self._stop.set()

    def fail(self, error: PipelineError) -> None:
        """The error and its exit code are what the pipeline ends with."""
        self.error, self.exit_code = error, error.exit_code

    def give_up(self, error: PipelineError) -> None:
        """Ends the pipeline soon, with an error."""
        self.fail(error)
        self._stop.set()
        self.finishing_s = self.finishing_s or self._now_s() - FINISH_S + GIVE_UP_S
