"""How many sound connections there may be, of whom; and how much one user may send. Without sockets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from audio_pipeline.gateway.bounds import MESSAGES, MESSAGES_S
from audio_pipeline.gateway.budget import Budget

MOST, OF_A_SESSION, OF_A_USER = 256, 64, 32
BYTES_S, BYTES_BURST = 16 << 20, 4 << 20


@dataclass
class User:
    """What all connections of one user may send together."""

    connections: int = 0
    messages: Budget = field(default_factory=lambda: Budget(MESSAGES_S, MESSAGES))
    bytes: Budget = field(default_factory=lambda: Budget(BYTES_S, BYTES_BURST))

    def spend(self, messages: int, size: int, now_s: float) -> None:
        """Takes what has been read."""
        self.messages.spend(messages, now_s)
        self.bytes.spend(size, now_s)

    def may_send(self, now_s: float) -> bool:
        """Whether more is read now; else it waits where it is."""
        return self.messages.left(now_s) > 0 and self.bytes.left(now_s) > 0


class Admission:
    """Counts connections by session and by user."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._sessions: Counter[str] = Counter()
        self.users: dict[str, User] = {}

    @property
    def connections(self) -> int:
        """All of them."""
        return sum(self._sessions.values())

    def refusal(self, session: str, user: str) -> str:
        """Why there is no place for one more; empty where there is one."""
        mine = self.users[user].connections if user in self.users else 0
        if mine >= OF_A_USER:
            return f"{user!r} has {mine} sound connections already, which is as many as one may have"
        if self._sessions[session] >= OF_A_SESSION:
            return f"this session has {OF_A_SESSION} sound connections already"
        return f"there are {self._most} sound connections already" if self.connections >= self._most else ""

    def enter(self, session: str, user: str) -> User:
        """One more connection."""
        self._sessions[session] += 1
        entered = self.users.setdefault(user, User())
        entered.connections += 1
        return entered

    def leave(self, session: str, user: str) -> None:
        """One less."""
        self._sessions[session] -= 1
        self._sessions += Counter()  # those with none go
        self.users[user].connections -= 1
        if not self.users[user].connections:
            del self.users[user]
