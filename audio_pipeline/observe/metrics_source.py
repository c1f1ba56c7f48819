"""What metrics are made of: the description as it is pushed, meters and ledger as they are when somebody scrapes."""

from __future__ import annotations

from audio_pipeline.control.client import Client
from audio_pipeline.control.requests import GRAPH, LedgerRequest, MetersRequest
from audio_pipeline.control.snapshots import Description
from audio_pipeline.control.state import State
from audio_pipeline.control.subscription import Subscription
from audio_pipeline.errors import ControlError

TIMEOUT_S = 2.0
EVERY_MS = 1_000
A_TURN = 16  # pushes


class MetricsSource:
    """A subscription to the description, and a client for the rest."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._subscription: Subscription | None = None
        self._description: Description | None = None

    def turn(self, timeout_s: float = 0.0) -> None:
        """Takes what was pushed, and acknowledges it. Raises ControlError where nobody answers."""
        if self._subscription is None:
            self._subscription = self._client.subscribe([GRAPH], EVERY_MS)
        for _ in range(A_TURN):
            push = self._subscription.take(timeout_s if self._description is None else 0.0)
            if push is None:
                return
            if isinstance(push.data, Description):
                self._description = push.data

    def state(self) -> State:
        """All there is to see now. Raises ControlError."""
        self.turn(TIMEOUT_S)
        if self._description is None:
            raise ControlError("the pipeline has not described itself")
        ledger = self._client.ask(LedgerRequest(), TIMEOUT_S)
        return State(self._description, self._client.ask(MetersRequest(), TIMEOUT_S), ledger)

    def close(self) -> None:
        """Ends the subscription."""
        if self._subscription is not None:
            self._subscription.close()
