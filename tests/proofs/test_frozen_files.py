"""A file system that answers nothing for a while, or never again: real waits in the kernel, for a take and for a song.

`test_slow_disk.py` slows calls one by one, in libc; here whatever touches the folder stands still.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.proofs.frozen_fs import FrozenFileSystem, frozen_file_system
from tests.proofs.test_slow_disk import CONFIG, RATE, check, wait_for

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(0),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]
SONG = '  file: {kind: file_source, path: "there/song.wav"}\n'
WITH_SONG = CONFIG.replace("  mix:", SONG + "  mix:").replace(
    "inputs: {song: {from: song, on_loss: silence}}",
    "inputs: {song: {from: song, on_loss: silence}, file: {from: file, on_loss: silence}}",
)
END_S = 60.0  # for a run to end after its duration, on a busy machine


@contextmanager
def playing(tmp_path: Path, text: str, take: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The pipeline as a program."""
    (tmp_path / "slow.yaml").write_text(text)
    command = [sys.executable, "-m", "audio_pipeline", "run", "slow.yaml", "--no-view", "--duration", f"{seconds:g}"]
    with subprocess.Popen(
        [*command, "--folder", str(take)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        try:
            yield run
        finally:
            run.kill()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[FrozenFileSystem]:
    """`there` in the folder of the test, whose files lie in `source`."""
    (tmp_path / "source").mkdir()
    with frozen_file_system(tmp_path / "source", tmp_path / "there") as served:
        yield served


def test_a_take_on_a_file_system_that_freezes_is_whole(
    there: FrozenFileSystem, tmp_path: Path, private: Path, proof_scale: float
) -> None:
    """For longer than any node may stand still, also over the end of the run."""
    frozen_s = max(60 * proof_scale, 5)
    seconds, take = 2 + frozen_s, tmp_path / "there" / "take"
    with playing(tmp_path, CONFIG, take, seconds) as run:
        wait_for(tmp_path / "source" / "take" / "song.wav.part")
        there.freeze()
        time.sleep(frozen_s + 4)  # the run is over, as far as its sources are concerned
        assert run.poll() is None, "it ended and left sound unwritten"
        there.thaw()
        said, _ = run.communicate(timeout=120)
    assert "has not answered for" in said
    check(tmp_path / "source", run.returncode, said, seconds, f"FUSE frozen for {frozen_s + 4:.0f} s")


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_song_on_a_file_system_that_freezes_holds_up_nobody(
    there: FrozenFileSystem, tmp_path: Path, private: Path, proof_scale: float, comes_back: bool
) -> None:
    """What others play is recorded sample for sample; the run ends when it should, though the file never answers."""
    frozen_s = max(30 * proof_scale, 6)
    seconds = 4 + frozen_s
    x = np.zeros((round(RATE * (seconds + 60)), 2), np.float32)
    soundfile.write(tmp_path / "source" / "song.wav", x, RATE, subtype="FLOAT")
    with playing(tmp_path, WITH_SONG, tmp_path / "take", seconds) as run:
        wait_for(tmp_path / "take" / "song.wav.part")
        time.sleep(1.0)
        asked = there.asked
        there.freeze()
        time.sleep(frozen_s)
        assert there.asked > asked, "somebody waits"
        if comes_back:
            there.thaw()
        said, _ = run.communicate(timeout=seconds + END_S)
    what = f"a song on FUSE, frozen for {frozen_s:.0f} s" + ("" if comes_back else " and for ever")
    check(tmp_path, run.returncode, said, seconds, what)
