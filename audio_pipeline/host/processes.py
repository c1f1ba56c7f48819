"""Processes of this host: when one started, its children, and whether /proc shows the namespace that we are in."""

from __future__ import annotations

import os
import select
import time
from functools import cache
from pathlib import Path

import psutil

TICK = 0.05
KERNEL_KNOWS = Path(f"/proc/self/task/{os.getpid()}/children").exists()


@cache
def here() -> str:
    """Names this boot and PID namespace, without a colon: the same process id means another process elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return "-"


def sees_processes() -> bool:
    """False where /proc is that of another PID namespace (`unshare --pid` without a /proc of its own)."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return not Path("/proc/self/stat").exists()  # no /proc at all: psutil asks the kernel


def started(pid: int) -> float:
    """When a process started, 0 if it is not there; by /proc in ticks since boot, whatever the clock shows."""
    try:
        if Path("/proc/self/stat").exists():
            which = "self" if pid == os.getpid() else str(pid)
            return float(
                Path(f"/proc/{which}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
            )
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, OSError, IndexError):
        return 0.0


def is_same(pid: int, since: float) -> bool:
    """True while the process lives that had this id then."""
    return since > 0 and abs(started(pid) - since) < TICK


def wait_for_end(pid: int, since: float) -> None:
    """Until the process has ended that had this id then, whoever its parent is and has collected it or not."""
    try:
        number = os.pidfd_open(pid)
    except (OSError, AttributeError):  # gone, or no such call (before Linux 5.3)
        while is_same(pid, since):
            time.sleep(TICK)
        return
    try:
        if is_same(pid, since):
            select.select([number], [], [])
    finally:
        os.close(number)


def exit_code(pid: int) -> int | None:
    """Of a child of ours that has ended and is not collected; negative: by that signal. None where it is not that."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def children(pid: int) -> list[int]:
    """Ids of a process's children, without a look at every process of the host where the kernel knows them."""
    try:
        files = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for file in files for child in file.read_text(encoding="utf-8").split()]
    except FileNotFoundError:
        return [] if KERNEL_KNOWS else _asked(pid)
    except OSError:
        return []  # it ended just now


def _asked(pid: int) -> list[int]:
    try:
        return [int(child.pid) for child in psutil.Process(pid).children()]
    except (psutil.Error, OSError):
        return []


def reap(spared: frozenset[int]) -> list[int]:
    """Collects dead orphans that the kernel gave to this process (PID 1, subreaper); their ids.

    Orphans are in a session other than ours. `spared` are children in sessions of their own that somebody waits for;
    whatever else this process starts stays in our session, so nobody's exit status is taken.
    """
    own, done = os.getsid(0), []
    for pid in children(os.getpid()) if sees_processes() else ():
        if pid not in spared and _is_zombie_elsewhere(pid, own):
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    done.append(pid)
            except ChildProcessError:
                continue  # somebody else collected it
    return done


def _is_zombie_elsewhere(pid: int, session: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0] == "Z" and int(fields[3]) != session
    except (OSError, IndexError, ValueError):
        return False
