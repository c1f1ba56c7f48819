"""How soon a thread that wakes gets a core that another thread of ours still uses. Linux 6.12 and later.

ZeroMQ sends and receives in a thread of its own. The node's thread goes on computing after it has handed a frame over,
and the kernel's scheduler (EEVDF) lets it finish its slice of some milliseconds first, so the frame lay there for as
long as the node tidied up: two thirds of what a hop took. A thread that asks for short slices takes the core at once
when it wakes (`PREEMPT_SHORT`), and gets no more of it in sum than its share.
Source: sched_setattr(2), and "sched-eevdf" in the kernel's documentation of its scheduler.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from pathlib import Path

SHORTEST_NS = 100_000  # what the kernel takes at least
CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # sched_setattr, sched_getattr: glibc has no names for them
ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # size, policy, flags, nice, priority, runtime, deadline, period
SCHED_OTHER = 0


def shorten_links(slice_ns: int = SHORTEST_NS) -> int:
    """Short slices for this process's ZeroMQ threads; how many took them. None where the system has no such thing."""
    return sum(shorten(thread, slice_ns) for thread in _link_threads())


def shorten(thread: int, slice_ns: int) -> bool:
    """Asks for slices of that length for a thread that is scheduled as most are; True where that was taken."""
    found = attributes(thread)
    if found is None or found[1] != SCHED_OTHER:
        return False
    size, policy, flags, nice, priority, _, deadline, period = found
    wanted = ATTRIBUTES.pack(size, policy, flags, nice, priority, slice_ns, deadline, period)
    return _call(0, thread, wanted, 0) == 0


def attributes(thread: int) -> tuple[int, ...] | None:
    """What the kernel says of a thread, in the order of `ATTRIBUTES`; None where it cannot be asked."""
    found = ctypes.create_string_buffer(ATTRIBUTES.size)
    return ATTRIBUTES.unpack(found.raw) if _call(1, thread, found, ATTRIBUTES.size, 0) == 0 else None


def _call(which: int, thread: int, *arguments: object) -> int:
    numbers = CALLS.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        return -1
    found: int = ctypes.CDLL(None, use_errno=True).syscall(numbers[which], thread, *arguments)
    return found


def _link_threads() -> list[int]:
    """The threads that libzmq sends and receives in, by the names that it gives them."""
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        return [
            int(task.name) for task in tasks if "/IO/" in (task / "comm").read_text(encoding="utf-8", errors="replace")
        ]
    except OSError:
        return []
