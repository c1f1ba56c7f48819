"""Admission by reservation: what a session will take is set aside when it is accepted. Pure; no clock, no load figure.

Sampled load says what was, and two that ask at once see the same. A reservation is made in one step, and it holds until
it is released. Its size is the config's cost: an estimate first, and what was measured of such sessions afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from audio_pipeline.errors import PipelineError


@dataclass(frozen=True)
class Cost:
    """What a session takes, or a host has."""

    cores: float
    mb: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cores + other.cores, self.mb + other.mb)


NOTHING = Cost(0.0, 0.0)
NAMES = {"cores": "cpu", "mb": "memory"}
UNITS = {"cores": "cores", "mb": "MB"}
ROUNDING = 1e-9


class ShortageError(PipelineError):
    """There is not enough left of something."""

    def __init__(self, what: str, need: float, free: float) -> None:
        self.what, self.need, self.free = NAMES[what], round(need, 3), round(max(free, 0.0), 3)
        unit = UNITS[what]
        super().__init__(f"a session needs {self.need:g} {unit} of {self.what}, {self.free:g} {unit} are free")


class Budget:
    """Reservations by session, and the cost of each config. One thread."""

    def __init__(self, capacity: Cost, measured: Mapping[str, Cost] | None = None) -> None:
        self.capacity = capacity
        self._measured: dict[str, Cost] = dict(measured or {})
        self._reserved: dict[str, tuple[str, Cost]] = {}  # by session: config and cost
        self.refused: Counter[str] = Counter()  # reservations, by what was short

    @property
    def reserved(self) -> Cost:
        """By all sessions together."""
        return sum((cost for _, cost in self._reserved.values()), NOTHING)

    @property
    def measured(self) -> Mapping[str, Cost]:
        """What sessions were measured to take, by config."""
        return self._measured

    def cost_of(self, config: str, estimate: Cost) -> Cost:
        """What was measured of such a session; before the first one, the estimate."""
        return self._measured.get(config, estimate)

    def reservation(self, session: str) -> Cost:
        """Nothing where the session has none."""
        return self._reserved.get(session, ("", NOTHING))[1]

    def reserve(self, session: str, config: str, estimate: Cost) -> Cost:
        """Sets the cost aside, all or nothing. Raises ShortageError for the first thing that is short."""
        if session in self._reserved:
            return self.reservation(session)
        try:
            cost = self.check(config, estimate)
        except ShortageError as error:
            self.refused[error.what] += 1
            raise
        self._reserved[session] = (config, cost)
        return cost

    def check(self, config: str, estimate: Cost) -> Cost:
        """What a session would get; nothing is set aside. Raises ShortageError for the first thing that is short."""
        cost, taken = self.cost_of(config, estimate), self.reserved
        for name, need in asdict(cost).items():
            free = getattr(self.capacity, name) - getattr(taken, name)
            if need > free + ROUNDING:
                raise ShortageError(name, need, free)
        return cost

    def adopt(self, session: str, config: str, estimate: Cost) -> None:
        """As `reserve`, for a session that runs already: it is counted whether or not there is enough."""
        self._reserved.setdefault(session, (config, self.cost_of(config, estimate)))

    def release(self, session: str) -> bool:
        """Gives back what a session has, once, however often it is called; False where it has nothing."""
        return self._reserved.pop(session, None) is not None

    def note(self, session: str, cost: Cost) -> None:
        """A session was measured: its own reservation and the next ones of its config are of this size.

        The largest measurement holds: sessions of a config are alike, and a quiet one is no promise.
        """
        if session not in self._reserved:
            return
        config, _ = self._reserved[session]
        before = self._measured.get(config, NOTHING)
        larger = Cost(max(cost.cores, before.cores), max(cost.mb, before.mb))
        self._measured[config] = larger
        self._reserved[session] = (config, larger)
