"""What is wrong with a sound file that is read all the same: counted, and said in one sentence a kind."""

from __future__ import annotations

from dataclasses import dataclass, field

DAMAGED, GAP, STAMP, CHANGE, LEFT_OUT = "damaged", "gap", "stamp", "change", "left out"
KINDS = (DAMAGED, GAP, STAMP, CHANGE, LEFT_OUT)


@dataclass
class Tally:
    """How often a fault was met; going back in the file counts none twice."""

    count: int = 0
    seconds: float = 0.0
    first_s: float = 0.0
    last_s: float = -1.0
    detail: str = ""

    def add(self, at_s: float, seconds: float, detail: str) -> None:
        if at_s <= self.last_s:
            return
        if not self.count:
            self.first_s, self.detail = at_s, detail
        self.count, self.seconds, self.last_s = self.count + 1, self.seconds + seconds, at_s


@dataclass
class Faults:
    """The faults of one file, by kind."""

    tallies: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    ends_s: tuple[float, float] | None = None  # where it ends, and where its header says that it ends
    is_cut: bool = False  # it breaks off, by its own marks
    pages: int = 0  # of a container, that are damaged
    layout: str = ""  # of channels whose places nothing tells

    def add(self, kind: str, at_s: float, seconds: float = 0.0, detail: str = "") -> None:
        self.tallies[kind].add(at_s, seconds, detail)

    @property
    def count(self) -> int:
        """Of all kinds together."""
        return sum(tally.count for tally in self.tallies.values())

    @property
    def damaged_frames(self) -> int:
        return self.tallies[DAMAGED].count

    def sentences(self, name: object) -> list[str]:
        """What there is to say about the file by now."""
        damaged, gap, stamp, change, left_out = (self.tallies[kind] for kind in KINDS)
        faults = [
            (
                damaged.count,
                f"{_many(damaged.count, 'frame')} damaged, from {damaged.first_s:.2f} s on; what cannot "
                f"be decoded is silence ({damaged.detail})",
            ),
            (
                gap.count,
                f"{_many(gap.count, 'gap')} in its time stamps, {gap.seconds:.2f} s in all, the first at "
                f"{gap.first_s:.2f} s; gaps are silence",
            ),
            (
                stamp.count,
                f"{_many(stamp.count, 'time stamp')} out of order, the first at {stamp.first_s:.2f} s; "
                f"they are ignored",
            ),
            (
                change.count,
                f"{_many(change.count, 'change')} of format, at {change.first_s:.2f} s {change.detail}; "
                f"all is converted to the format that it begins with",
            ),
            (
                left_out.count,
                f"{_many(left_out.count, 'part')} of it left out, the first at {left_out.first_s:.2f} s "
                f"({left_out.detail})",
            ),
            (self.ends_s is not None, "ends at {:.2f} s, its header states {:.2f} s".format(*self.ends_s or (0, 0))),
            (self.is_cut and self.ends_s is None, "breaks off: its last page is missing"),
            (self.pages, f"{_many(self.pages, 'page')} of it damaged; what cannot be decoded of them is silence"),
            (self.layout, f"does not name its channels; {self.layout}"),
        ]
        return [f"{name}: {sentence}" for is_so, sentence in faults if is_so]


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
