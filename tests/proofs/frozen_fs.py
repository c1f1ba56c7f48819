"""A file system that can be frozen: a folder seen through FUSE, whose server answers nothing while it is frozen.

What waits for it waits in the kernel, as for a network file system whose host is gone: in `read`, `open`, `close` and
`stat` alike, whatever library makes the call. The protocol is that of `fuse(4)` and `linux/fuse.h`, version 7.31; the
server is a thread of the tests. Needs /dev/fuse and the right to mount.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT_ID, MOST_WRITE, DETACH = 1, 1 << 17, 2
IN, OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42  # nobody waits for an answer to these
SET_MODE, SET_SIZE = 1, 8
NO_CACHE = (0, 0)  # seconds and nanoseconds for which the kernel may believe an answer

libc = ctypes.CDLL(None, use_errno=True)


def _attributes(found: os.stat_result) -> bytes:
    times = [divmod(ns, 1_000_000_000) for ns in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
    return struct.pack(
        "<6Q10I",
        *(found.st_ino, found.st_size, found.st_blocks),
        *(seconds for seconds, _ in times),
        *(ns for _, ns in times),
        *(found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_blksize, 0),
    )


def _name(data: bytes) -> str:
    return os.fsdecode(data.split(b"\0", 1)[0])


class FrozenFileSystem:
    """Serves `source` until its descriptor is closed. Each request is answered before the next one is read."""

    def __init__(self, source: Path, fd: int) -> None:
        self._source, self._fd = source, fd
        self._flows = threading.Event()
        self._flows.set()
        self.asked = 0  # requests that came
        self._paths: dict[int, Path] = {ROOT_ID: source}
        self._handlers: dict[int, Callable[[int, bytes], bytes]] = {
            1: lambda node, data: self._entry(self._paths[node] / _name(data)),
            3: lambda node, data: self._attr(self._paths[node]),
            4: self._set,
            9: self._make_folder,
            10: lambda node, data: _nothing(os.unlink(self._paths[node] / _name(data))),
            11: lambda node, data: _nothing(os.rmdir(self._paths[node] / _name(data))),
            12: lambda node, data: self._rename(node, data, 8),
            13: self._link,
            14: lambda node, data: self._open(self._paths[node], *struct.unpack_from("<I", data)),
            15: self._read,
            16: self._write,
            17: lambda node, data: struct.pack("<5Q4I24x", *(1 << 30,) * 5, 4096, 255, 4096, 0),
            18: lambda node, data: _nothing(os.close(*struct.unpack_from("<Q", data))),
            20: lambda node, data: _nothing(os.fsync(*struct.unpack_from("<Q", data))),
            25: lambda node, data: b"",  # a flush at each close
            26: self._begin,
            27: lambda node, data: struct.pack("<QII", 0, 0, 0),
            28: self._list,
            29: lambda node, data: b"",
            35: self._create,
            45: lambda node, data: self._rename(node, data, 16),
        }

    def freeze(self) -> None:
        """From the next request on nothing is answered."""
        self._flows.clear()

    def thaw(self) -> None:
        """What waits is answered, and goes on."""
        self._flows.set()

    def serve(self) -> None:
        """Until it is unmounted."""
        while True:
            try:
                message = os.read(self._fd, MOST_WRITE + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):  # a request that was taken back
                    continue
                return
            self.asked += 1
            self._flows.wait()
            _, opcode, unique, node, *_ = IN.unpack_from(message)
            if opcode not in (FORGET, INTERRUPT, BATCH_FORGET):
                self._answer(unique, *self._handled(opcode, node, message[IN.size :]))

    def _handled(self, opcode: int, node: int, data: bytes) -> tuple[int, bytes]:
        handler = self._handlers.get(opcode)
        if handler is None:
            return -errno.ENOSYS, b""
        try:
            return 0, handler(node, data)
        except OSError as error:
            return -(error.errno or errno.EIO), b""

    def _answer(self, unique: int, error: int, data: bytes) -> None:
        try:
            os.write(self._fd, OUT.pack(OUT.size + len(data), error, unique) + data)
        except OSError:  # whoever asked was killed
            return

    # -- requests -------------------------------------------------------------------------------------

    @staticmethod
    def _begin(node: int, data: bytes) -> bytes:
        return struct.pack("<IIIIHHIIHH32x", 7, 31, 0, 0, 16, 12, MOST_WRITE, 1, 0, 0)

    def _entry(self, path: Path) -> bytes:
        found = os.lstat(path)
        node = ROOT_ID + 1 + found.st_ino
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, *NO_CACHE, *NO_CACHE) + _attributes(found)

    @staticmethod
    def _attr(path: Path) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + _attributes(os.lstat(path))

    def _set(self, node: int, data: bytes) -> bytes:
        what, size, mode = struct.unpack_from("<I12xQ44xI", data)
        if what & SET_SIZE:
            os.truncate(self._paths[node], size)
        if what & SET_MODE:
            os.chmod(self._paths[node], stat.S_IMODE(mode))
        return self._attr(self._paths[node])

    def _make_folder(self, node: int, data: bytes) -> bytes:
        path = self._paths[node] / _name(data[8:])
        os.mkdir(path)
        return self._entry(path)

    def _rename(self, node: int, data: bytes, at: int) -> bytes:
        (target,) = struct.unpack_from("<Q", data)
        before, after = data[at:].split(b"\0")[:2]
        old, new = self._paths[node] / os.fsdecode(before), self._paths[target] / os.fsdecode(after)
        os.replace(old, new)
        self._paths = {key: new if path == old else path for key, path in self._paths.items()}
        return b""

    def _link(self, node: int, data: bytes) -> bytes:
        (old,) = struct.unpack_from("<Q", data)
        path = self._paths[node] / _name(data[8:])
        os.link(self._paths[old], path)
        return self._entry(path)

    @staticmethod
    def _open(path: Path, flags: int, mode: int = 0o666) -> bytes:
        return struct.pack("<QII", os.open(path, flags & ~(os.O_APPEND | os.O_NOFOLLOW), mode), 0, 0)

    def _create(self, node: int, data: bytes) -> bytes:
        flags, mode = struct.unpack_from("<II", data)
        path = self._paths[node] / _name(data[16:])
        opened = self._open(path, flags | os.O_CREAT, stat.S_IMODE(mode))
        return self._entry(path) + opened

    @staticmethod
    def _read(node: int, data: bytes) -> bytes:
        handle, at, size = struct.unpack_from("<QQI", data)
        return os.pread(handle, size, at)

    @staticmethod
    def _write(node: int, data: bytes) -> bytes:
        handle, at, size = struct.unpack_from("<QQI", data)
        return struct.pack("<II", os.pwrite(handle, data[40 : 40 + size], at), 0)

    def _list(self, node: int, data: bytes) -> bytes:
        _, at, size = struct.unpack_from("<QQI", data)
        listed = b""
        for number, name in enumerate(sorted(os.listdir(self._paths[node])), 1):
            raw = os.fsencode(name)
            entry = struct.pack("<QQII", number, number, len(raw), 0) + raw
            entry += bytes(-len(entry) % 8)
            if number > at and len(listed) + len(entry) <= size:
                listed += entry
        return listed


def _nothing(result: None) -> bytes:
    return b""


@contextmanager
def frozen_file_system(source: Path, mount: Path) -> Iterator[FrozenFileSystem]:
    """`source` under `mount`; skips where that is not allowed. At the end whoever still waits is let go."""
    mount.mkdir()
    try:
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"/dev/fuse: {error.strerror}")
    options = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    if libc.mount(b"tests", os.fsencode(mount), b"fuse", 0, options.encode()):
        os.close(fd)
        pytest.skip(f"mount: {os.strerror(ctypes.get_errno())}")
    served = FrozenFileSystem(source, fd)
    thread = threading.Thread(target=served.serve, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.thaw()
        libc.umount2(os.fsencode(mount), DETACH)
        thread.join(5)
        os.close(fd)
