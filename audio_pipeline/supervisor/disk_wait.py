"""Whether a thread stands still because it waits for a disk, which no kill helps, and for how long.

The kernel shows a wait for a disk as state D; so it does for most waits for a server (NFS, CIFS, 9p). FUSE waits in
state S, as an idle thread does; there the name of the kernel's function, where it may be read, tells them apart.
"""

from __future__ import annotations

from pathlib import Path

DISK_WAIT_S = 60.0  # so long is a node that waits for a disk left alone; then it is given up as one that hangs
# functions in which Linux waits, interruptibly, for a file system's answer: FUSE, and RPC of soft mounts
WAITS_OF_FILE_SYSTEMS = frozenset(
    {
        "request_wait_answer",
        "fuse_simple_request",
        "__fuse_simple_request",
        "rpc_wait_bit_killable",
        "p9_client_rpc",
        "wait_for_response",
        "folio_wait_bit_common",
        "wait_on_page_bit_killable",
    }
)
PROC = Path("/proc")


def waits_for_disk(pid: int, proc: Path = PROC) -> bool:
    """Whether the main thread of a process, which turns its nodes, waits for a disk or a file system now."""
    task = proc / str(pid) / "task" / str(pid)
    try:
        state = (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
        if state == b"S":
            return (task / "wchan").read_text(encoding="utf-8").strip() in WAITS_OF_FILE_SYSTEMS
    except (OSError, IndexError, ValueError):
        return False  # it is gone, or this is not Linux
    return state == b"D"


class Standstill:
    """How much of the time in which one node's loop did not turn it waited for a disk."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self._mark: object = None
        self._looked_s = 0.0

    def update(self, mark: object, now_s: float, *, waits: bool, silent_s: float) -> float:
        """The wait so far, at most DISK_WAIT_S. `mark` is another one whenever the loop has turned."""
        if mark != self._mark:
            self._mark, self.waited_s, self._looked_s = mark, 0.0, now_s - silent_s
        if waits:
            self.waited_s = min(self.waited_s + now_s - self._looked_s, DISK_WAIT_S)
        self._looked_s = now_s
        return self.waited_s
