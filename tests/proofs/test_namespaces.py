"""Two hosts with a wire between them: network namespaces, real interfaces, a cable that is pulled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from audio_pipeline.keys import FOLDER
from tests.proofs.hosts import make_keys, studio_yaml, write_tone

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
TAG = f"ap{os.getpid() % 100_000}"
STUDIO_NS, LAPTOP_NS = f"{TAG}s", f"{TAG}l"
STUDIO_IP, LAPTOP_IP = "10.231.77.1", "10.231.77.2"  # only inside the namespaces
COMMAND = [sys.executable, "-m", "audio_pipeline"]
STATUS = re.compile(r"mix\.out .*delay (\d+) ms.*dry (\d+)  lost (\d+) samples  again (\d+)")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def inside(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace]


@pytest.fixture
def wire() -> Iterator[bool]:
    """Two namespaces and a cable between them; True where the kernel can delay what passes (netem)."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    try:
        ip("netns", "add", STUDIO_NS)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"network namespaces are not permitted here: {getattr(error, 'stderr', error)}".strip())
    try:
        ip("netns", "add", LAPTOP_NS)
        ip("link", "add", f"{TAG}a", "netns", STUDIO_NS, "type", "veth", "peer", "name", f"{TAG}b", "netns", LAPTOP_NS)
        for namespace, device, address in ((STUDIO_NS, f"{TAG}a", STUDIO_IP), (LAPTOP_NS, f"{TAG}b", LAPTOP_IP)):
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
            ip("-n", namespace, "link", "set", "lo", "up")
        yield _delay()
    finally:
        for namespace in (STUDIO_NS, LAPTOP_NS):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", namespace)


def _delay() -> bool:
    """20 ms there, with 5 ms of jitter, where the kernel has netem."""
    if not shutil.which("tc"):
        return False
    words = ["tc", "qdisc", "add", "dev", f"{TAG}a", "root", "netem", "delay", "20ms", "5ms"]
    return subprocess.run([*inside(STUDIO_NS), *words], check=False, capture_output=True).returncode == 0


class Host:
    """A command in a namespace, with what it printed."""

    def __init__(self, namespace: str, folder: Path, words: list[str]) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.output = folder / "output.txt"
        env = {**os.environ, "XDG_RUNTIME_DIR": str(folder), FOLDER: str(folder.parent / "keys"), "COLUMNS": "200"}
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [*inside(namespace), *COMMAND, *words], stdout=file, stderr=file, env=env, cwd=folder
            )

    def until(self, pattern: str, timeout_s: float = 90.0) -> str:
        """The text once `pattern` is in it."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, text := self.output.read_text()):
            assert time.monotonic() < deadline and self.process.poll() is None, f"no {pattern!r} in:\n{text[-3000:]}"
            time.sleep(0.1)
        return text

    def end(self) -> int:
        """As Ctrl-C does; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()


def status(text: str) -> tuple[int, int, int, int]:
    """Delay in ms, times run dry, lost samples and connections, of the last status line."""
    delay, dry, lost, again = STATUS.findall(text)[-1]
    return int(delay), int(dry), int(lost), int(again)


def test_a_laptop_plays_a_studio_in_another_network_namespace(wire: bool, private: Path, proof_scale: float) -> None:
    """Refused while its key is not allowed, heard once it is, and heard again after the cable was out."""
    make_keys(private / "keys", role="host")
    (private / "studio.yaml").write_text(studio_yaml(write_tone(private / "tone.wav"), f"tcp://{STUDIO_IP}:7700"))
    studio = Host(STUDIO_NS, private / "s", ["run", str(private / "studio.yaml"), "--no-view"])
    laptop = None
    play = ["client", STUDIO_IP, "--key", "studio", "--own", "laptop", "--device", "null"]
    try:
        studio.until("other hosts can connect")
        refused = Host(LAPTOP_NS, private / "l", play)
        assert refused.process.wait(60) == 7
        said = refused.output.read_text().strip()
        assert said.count("\n") == 0 and "does not let this host in" in said
        make_role(private / "keys")
        wrong = Host(LAPTOP_NS, private / "l", [*play, "--play", "song"])
        assert wrong.process.wait(60) == 2
        assert "exports no output 'song.out'; there are: mix.out" in wrong.output.read_text()
        laptop = Host(LAPTOP_NS, private / "l", play)
        laptop.until(STATUS.pattern)
        time.sleep(max(30 * proof_scale, 5))
        delay_ms, dry, _, again = status(laptop.output.read_text())
        ip("-n", LAPTOP_NS, "link", "set", f"{TAG}b", "down")
        time.sleep(2)
        ip("-n", LAPTOP_NS, "link", "set", f"{TAG}b", "up")
        time.sleep(max(30 * proof_scale, 12))
        later = status(laptop.output.read_text())
        way = "netem 20 ms +- 5 ms" if wire else "no netem"
        print(
            f"\nhosts: namespaces, {way}: delay {delay_ms} ms, dry {dry}; cable out for 2 s: delay {later[0]} ms, "
            f"dry {later[1] - dry}, connected again {later[3] - again} times"
        )
        assert (20 if wire else 5) < delay_ms < 300 and dry <= 3
        lines = laptop.output.read_text().splitlines()[-3:]
        assert all(STATUS.search(line) for line in lines), lines
        assert later[0] < 400
        assert laptop.end() == 0
    finally:
        for host in (laptop, studio):
            if host is not None:
                host.end()


def make_role(folder: Path) -> None:
    from audio_pipeline.keys import Keys

    keys = Keys(folder)
    keys.allow("laptop", keys.own["laptop"].public, "listen")
