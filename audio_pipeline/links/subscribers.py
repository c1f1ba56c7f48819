"""Who listens to a port: the graph's own consumers, expected or connected, and taps; without sockets."""

from __future__ import annotations

from collections.abc import Callable

from audio_pipeline.links.credit import Count, Subscription
from audio_pipeline.links.limits import STALLING, TAP_FRAMES, TAPS
from audio_pipeline.links.port_specs import OutSpec
from audio_pipeline.refs import InputKey


class Subscribers:
    """A subscription for each consumer, by its identity. `counter` makes the ledger of one."""

    def __init__(self, spec: OutSpec, counter: Callable[[str], Count]) -> None:
        self.spec = spec
        self._counter = counter
        self.subscriptions = {
            name: Subscription(policy, queue, counter(name)) for name, (policy, queue) in spec.consumers.items()
        }
        self.connected: dict[str, tuple[int, int]] = {}  # identity -> instance of the consumer, its greeting
        self._had_taps = False
        self.stirred = True  # what is queued or under way may have changed; whoever shows it sets this to False

    def _expect(self, name: str, policy: str, frames: int) -> None:
        known = self.subscriptions.get(name)
        if known is not None and not known.tap:
            known.adopt(policy, frames)
            return
        if known is not None:  # it came before it was planned: it is greeted anew
            known.leave()
            self.connected.pop(name, None)
        self.subscriptions[name] = Subscription(policy, frames, self._counter(name))

    def dismiss(self, node: str) -> None:
        """The graph's consumers in `node` will never come (it is optional and could not be opened)."""
        self.stirred = True
        for name in self.spec.consumers:
            if InputKey.parse(name).node == node:
                self.subscriptions[name].dismiss()

    def admit(self, node: str) -> None:
        """The graph's consumers in `node`, which were dismissed, take frames again from now on."""
        for name, (policy, _) in self.spec.consumers.items():
            if InputKey.parse(name).node == node:
                self.subscriptions[name].admit(policy)

    @property
    def wanted(self) -> bool:
        """True while anybody listens."""
        return bool(self.subscriptions)

    def _gone(self, name: str) -> None:
        """The graph's own consumers keep their queue until they come back; taps are forgotten."""
        self.stirred = True
        self.connected.pop(name, None)
        if name not in self.spec.consumers and (gone := self.subscriptions.pop(name, None)) is not None:
            gone.leave() if gone.tap else gone.unlink()

    def _tap(self, name: str, queue_frames: int) -> Subscription:
        self._had_taps = True
        queue, count = min(queue_frames, TAP_FRAMES), self._counter(TAPS)
        tap = Subscription("drop_oldest", queue, count, most_window=TAP_FRAMES, tap=True)
        self.subscriptions[name] = tap
        return tap

    def backlog(self) -> dict[str, tuple[int, int]]:
        """Frames queued and under way, by consumer; of taps together."""
        if not self._had_taps and self.subscriptions.keys() == self.spec.consumers.keys():  # as nearly always
            return {name: (len(sub.queue), len(sub.in_flight)) for name, sub in self.subscriptions.items()}
        found = {name: (0, 0) for name in (*self.spec.consumers, *([TAPS] if self._had_taps else ()))}
        for name, subscription in self.subscriptions.items():
            key = TAPS if subscription.tap else name
            queued, in_flight = found.get(key, (0, 0))
            found[key] = queued + len(subscription.queue), in_flight + len(subscription.in_flight)
        return found

    @property
    def has_capacity(self) -> bool:
        """True while every consumer that may stall us has room."""
        return all(sub.has_capacity for sub in self.subscriptions.values() if sub.policy in STALLING)

    @property
    def drained(self) -> bool:
        """True when every lossless consumer has taken everything."""
        return all(sub.drained for sub in self.subscriptions.values() if sub.policy in STALLING)
