"""Somebody who means harm: `python -m tests.proofs.hostile ROLE ATTACK PORT KEYS SECONDS`, on loopback only.

Prints how often it did what it does. `keys` is a folder with keys of its own for each role.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import zmq

from audio_pipeline.frame import gap_frame
from audio_pipeline.frame_codec import pack
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.keys import Keys

ROLES = ("nobody", "listen", "play", "control")
KINDS = ("flood", "giant", "amplifying", "extreme", "deaf", "crowd")
CROWD = 4_096
HOST = "127.0.0.1"
EXTREMES = (0, 1, (1 << 53) + 1, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE" + bytes(15) + bytes(32)  # ZMTP 3.1 (RFC 37), 64 bytes

_serial = iter(range(1 << 60))


def number() -> int:
    return next(_serial)


def hello(**over: Any) -> bytes:
    return bytes(
        msgpack.packb(
            {
                "t": "hello",
                "v": 1,
                "port": "mix.out",
                "instance": number(),
                "window": 50,
                "since": 0,
                "greeting": number(),
                "policy": "drop_oldest",
                **over,
            }
        )
    )


def offer(**over: Any) -> bytes:
    return bytes(msgpack.packb({"t": "offer", "v": 1, "node": "spare", "instance": 7, "greeting": 0, **over}))


def request(op: str, **more: Any) -> bytes:
    return bytes(msgpack.packb({"v": 2, "id": number(), "op": op, **more}))


def tiny() -> bytes:
    return pack(gap_frame(480, 480 * number(), 48_000, 2, seq=number() + 1, epoch=1))


def giant() -> bytes:
    """64 bytes that stand for 134 MB, or for a second in the dearest format."""
    samples, rate = ((1 << 20, 1_000), (384_000, 384_000), (4_000, 4_000))[number() % 3]
    return pack(gap_frame(samples, samples * number(), rate, 32, seq=number() + 1, epoch=1))


def extreme() -> bytes:
    frame = bytearray(pack(gap_frame(480, 0, 48_000, 2, seq=1, epoch=1)))
    for at in (32, 40, 48):
        struct.pack_into("<Q", frame, at, EXTREMES[number() % len(EXTREMES)])
    return bytes(frame)


def setting(value: object, at: int | None = None) -> bytes:
    return request("set", node="mix", name="inputs.song.gain_db", value=value, at=at)


def edge() -> int:
    return EXTREMES[number() % len(EXTREMES)]


ATTACKS: dict[tuple[str, str], Callable[[], bytes]] = {
    ("listen", "flood"): hello,
    ("listen", "giant"): lambda: bytes(msgpack.packb({"t": "hello", "port": "mix.out", "more": bytes(900_000)})),
    ("listen", "amplifying"): lambda: request("ledger") if number() % 2 else hello(since=0),
    ("listen", "extreme"): lambda: hello(window=edge(), since=edge(), queue=edge(), greeting=edge(), instance=edge()),
    ("listen", "deaf"): lambda: request("ledger") if number() % 2 else hello(window=1 << 40),
    ("play", "flood"): tiny,
    ("play", "giant"): giant,
    ("play", "extreme"): extreme,
    ("play", "amplifying"): lambda: bytes(msgpack.packb({"t": "who"})) if number() % 2 else offer(greeting=number()),
    ("play", "deaf"): lambda: offer(greeting=number()),
    ("control", "flood"): lambda: setting("no number"),
    ("control", "giant"): lambda: setting("x" * 60_000),
    ("control", "amplifying"): lambda: request("ledger"),
    ("control", "extreme"): lambda: setting((float("nan"), float("inf"), edge())[number() % 3], at=edge()),
    ("control", "deaf"): lambda: request("ledger"),
}


def send_due(remote: Remote, role: str, attack: str, until_s: float) -> int:
    """Words on four connections, as fast as they go out; who is not deaf reads the answers."""
    said = 0
    with zmq.Context() as context:
        ends = [context.socket(zmq.DEALER) for _ in range(4)]
        for end in ends:
            remote.prepare(end)
            end.setsockopt(zmq.RCVHWM, 1 if attack == "deaf" else 1_000)
            end.connect(remote.endpoint)
            if role == "play":
                end.send(offer())
        while time.monotonic() < until_s:
            for end in ends:
                said += _send(end, ATTACKS[role, attack]())
                while attack != "deaf" and end.poll(0):
                    end.recv()
        for end in ends:
            end.close(linger=0)
    return said


def _send(end: zmq.Socket[bytes], word: bytes) -> bool:
    try:
        end.send(word, flags=zmq.DONTWAIT)
    except zmq.Again:
        time.sleep(0.0005)
        return False
    return True


def crowd(remote: Remote, until_s: float) -> int:
    """One key, thousands of connections, all kept open."""
    with zmq.Context() as context:
        end = context.socket(zmq.DEALER)
        remote.prepare(end)
        made = 0
        while made < CROWD and time.monotonic() < until_s:
            end.connect(remote.endpoint)
            made += 1
            _send(end, hello())
        time.sleep(max(until_s - time.monotonic(), 0))
        end.close(linger=0)
    return made


def bare(port: int, attack: str, until_s: float) -> int:
    """Without a key: connections that say nothing, nonsense, or half of a greeting."""
    open_, made = [], 0
    most = CROWD if attack == "crowd" else 200
    said = {
        "flood": os.urandom(4_096),
        "giant": GREETING + b"\x02" + b"\xff" * 8,
        "extreme": b"\xff" * 64,
        "amplifying": GREETING,
    }.get(attack, b"")
    while time.monotonic() < until_s:
        end = socket.socket()
        end.setblocking(False)
        end.connect_ex((HOST, port))
        open_.append(end)
        made += 1
        for other in open_[-3:]:
            with _closed_is_fine():
                other.send(said)
        if len(open_) >= most:
            for other in open_ if attack != "crowd" else open_[:100]:
                other.close()
            open_ = open_[100:] if attack == "crowd" else []
        time.sleep(0.0002)
    for end in open_:
        end.close()
    return made


class _closed_is_fine:  # noqa: N801 - used as a statement
    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, kind: object, error: object, at: object) -> bool:
        return isinstance(error, OSError)


def combinations() -> Iterator[tuple[str, str]]:
    """Each role with each attack."""
    return ((role, attack) for role in ROLES for attack in KINDS)


def main() -> None:
    role, attack, port, folder, seconds = sys.argv[1:]
    os.nice(19)  # it stands for another machine: what it takes itself is not to count
    until_s = time.monotonic() + float(seconds)
    if role == "nobody":
        print(bare(int(port), attack, until_s))
        return
    keys = Keys(Path(folder))
    remote = Remote(HOST, int(port), "studio", keys.peer("studio").public, keys.mine(f"mallory {role}")[1])
    print(crowd(remote, until_s) if attack == "crowd" else send_due(remote, role, attack, until_s))


if __name__ == "__main__":
    main()
