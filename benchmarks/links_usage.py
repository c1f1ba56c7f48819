"""What processes used: CPU time and context switches of all their threads, from /proc (Linux)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SWITCHES = ("voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:")


@dataclass(frozen=True)
class Usage:
    """Since the process began."""

    cpu_ns: float
    switches: float
    link_ns: float = 0.0  # of the CPU time, what ZeroMQ's own threads used

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.cpu_ns - other.cpu_ns, self.switches - other.switches, self.link_ns - other.link_ns)

    def shared(self, count: int) -> Usage:
        """The part of one of `count` nodes."""
        return Usage(self.cpu_ns / count, self.switches / count, self.link_ns / count)


def usage(pid: int) -> Usage:
    """User and system time together; a thread that has ended no longer counts."""
    cpu_ns = switches = link_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            used_ns = int((thread / "schedstat").read_text(encoding="utf-8").split()[0])
            cpu_ns += used_ns
            link_ns += used_ns if "/IO/" in (thread / "comm").read_text(encoding="utf-8") else 0
            fields = (line.split() for line in (thread / "status").read_text(encoding="utf-8").splitlines())
            switches += sum(int(field[1]) for field in fields if field and field[0] in SWITCHES)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Usage(cpu_ns, switches, link_ns)
