"""Commands and pipelines on hosts without a home, a writable place, UTF-8, a network or a reader."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments.hosts import NO_NETWORK, NOBODY, SEVERAL, Host, host
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.slow

COMMANDS = [
    ["nodes"],
    ["nodes", "mixer"],
    ["check", "twin.yaml"],
    ["check", "karaoke"],
    ["leftovers"],
    ["models", "list"],
    ["keys", "list"],
    ["voices", "list"],
    ["--version"],
    ["--help"],
]
REFUSED = [["top", "--once"], ["tap", "x"], ["set", "a.b=1"], ["graph"], ["stop"], ["logs"], ["view"], ["check", "mìx"]]


@pytest.fixture
def no_home(tmp_path: Path) -> Iterator[Host]:
    """`docker run -u 12345`: no passwd entry, and the root folder for a home."""
    with host(tmp_path, NOBODY, HOME="/") as found:
        yield found


def commands(odd: Host, *wanted: list[str]) -> list[tuple[int, str]]:
    """Exit code and output of each command, one after the other in one process."""
    _, said = odd.run(json.dumps(wanted), entry=("-c", SEVERAL))
    ends = [part.rpartition("= ") for part in said.removeprefix("$ ").split("\n$ ")]
    assert len(ends) == len(wanted), said
    return [(int(code), rest.partition("\n")[2]) for rest, _, code in ends]


def everything_works(odd: Host) -> None:
    """Commands that need nothing answer, the others are one sentence, and a take is made with its report."""
    done = commands(odd, *COMMANDS, *REFUSED)
    assert [words for words, (code, _) in zip(COMMANDS, done, strict=False) if code] == []
    for words, (code, said) in zip(REFUSED, done[len(COMMANDS) :], strict=True):
        assert code and said.startswith("audio-pipeline: ") and said.count("\n") == 1, (words, said)
    code, said = odd.run("devices")
    assert code == 0 or (code == 4 and said.count("\n") == 1), said  # without PortAudio it says what to install
    take_is_made(odd)


def take_is_made(odd: Host) -> None:
    code, said = odd.run("run", "twin.yaml", "--offline", "--folder", "take")
    assert code == 0 and "report.html" in said and "no report" not in said, said
    assert odd.recorded() == 1.0
    assert (odd.folder / "take" / "report.html").stat().st_size > 10_000


# -- no home ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", [None, "relative"])
def test_without_passwd_entry_and_home_a_take_and_its_report_are_made(tmp_path: Path, home: str | None) -> None:
    with host(tmp_path, NOBODY, HOME=home, AUDIO_PIPELINE_CACHE=None) as odd:
        take_is_made(odd)


def test_without_a_home_every_command_answers_and_names_the_variable_only_where_it_must_write(no_home: Host) -> None:
    everything_works(no_home)
    code, said = no_home.run("keys", "new", "studio")
    assert code == 9 and said.endswith("set XDG_CONFIG_HOME to a folder of yours\n"), said


def test_a_picture_needs_no_place_for_a_cache(no_home: Host) -> None:
    """matplotlib makes itself one elsewhere, and would say so in two lines."""
    code = (
        "import numpy as np; from pathlib import Path; from audio_pipeline.view.tap import Picture; p = Picture();"
        "p.add(np.zeros((44100, 1), np.float32), 44100); print(p.save(Path('p.png'), 't'))"
    )
    assert no_home.run(entry=("-c", code)) == (0, "p.png\n")


def test_a_home_that_is_read_only_is_as_good_as_none(tmp_path: Path) -> None:
    with host(tmp_path, NOBODY) as odd:
        home = odd.folder.parent / "home"  # root's
        home.mkdir(mode=0o755)
        odd.env["HOME"] = str(home)
        everything_works(odd)
        code, said = odd.run("keys", "new", "studio")
        assert code == 9 and said.endswith("Permission denied; set XDG_CONFIG_HOME to a folder of yours\n")


# -- no UTF-8 -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A locale in ISO-8859-1, made for these tests."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    if not shutil.which("localedef") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("localedef and its tables are not installed (locales)")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("env", [ASCII, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}], ids=["LC_ALL=C", "IO=ascii"])
def test_a_terminal_that_shows_ascii_shows_everything(tmp_path: Path, env: dict[str, str]) -> None:
    with host(tmp_path, **env) as odd:
        everything_works(odd)


def test_a_latin_1_locale_shows_everything(tmp_path: Path, latin: dict[str, str]) -> None:
    with host(tmp_path, **latin) as odd:
        everything_works(odd)


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        pytest.param(b"caf\xe9", "C.UTF-8", id="latin-1"),
        pytest.param(b"caf\xe9", "C", id="latin-1 in C"),
        pytest.param("café 音".encode(), "latin", id="utf-8 in latin-1"),
        pytest.param(b"\x1b]52;c;eA==\x07", "C.UTF-8", id="escape"),
    ],
)
def test_a_file_name_is_bytes_whatever_they_mean(
    tmp_path: Path, request: pytest.FixtureRequest, locale: str, name: bytes
) -> None:
    """The song, the folder of the take and that of the pipeline: jobs, boards, reports and take.json carry them."""
    env = request.getfixturevalue("latin") if locale == "latin" else {"LC_ALL": locale}
    with host(tmp_path, **env) as odd:
        odd_name = os.fsdecode(name)
        song = odd.folder / f"{odd_name}.wav"
        (odd.folder / "song.wav").rename(song)
        code, said = odd.run(
            b"run", b"twin.yaml", b"--offline", b"--set", b"nodes.song.path=" + name + b".wav", b"--folder", name
        )
        assert code == 0 and "report.html" in said and "no report" not in said, said
        assert "\x1b" not in said and odd.recorded(name) == 1.0
        assert (odd.folder / odd_name / "report.html").read_bytes().decode("utf-8")
        code, said = odd.run(b"run", b"twin.yaml", b"--offline", b"--set", b"nodes.song.path=no-" + name + b".wav")
        assert code == 3 and said.splitlines()[-1].startswith("audio-pipeline: node 'song': no-") and "\x1b" not in said


# -- no network, no reader, no terminal worth the name ------------------------------------------------------------


def test_without_any_network_not_even_loopback(tmp_path: Path) -> None:
    with host(tmp_path, NO_NETWORK) as odd:
        everything_works(odd)
        code, said = odd.run("run", "twin.yaml", "--no-view", "--folder", "live")
        assert code == 0 and odd.recorded("live") == 1.0, said


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"COLUMNS": "20", "TERM": "xterm"}])
def test_any_terminal_will_do(tmp_path: Path, env: dict[str, str]) -> None:
    with host(tmp_path, LC_ALL="C.UTF-8", **env) as odd:
        master, slave = pty.openpty()
        process = odd.start("run", "twin.yaml", "--folder", "live", stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        shown = b""
        try:
            while data := os.read(master, 4096):
                shown += data
        except OSError:
            pass  # everybody has closed it
        os.close(master)
        assert process.wait(PATIENCE_S) == 0 and b"Traceback" not in shown, shown.decode(errors="replace")
        assert odd.recorded("live") == 1.0
        if env.get("TERM") == "dumb":
            assert b"\x1b" not in shown


@pytest.mark.parametrize("words", [["nodes"], ["--help"]])
def test_a_full_disk_or_a_closed_pipe_behind_standard_output_is_no_traceback(tmp_path: Path, words: list[str]) -> None:
    with host(tmp_path) as odd:
        with open("/dev/full", "wb") as full:
            process = odd.start(*words, stdout=full, stderr=subprocess.PIPE)
            said = process.communicate(timeout=PATIENCE_S)[1].decode()
            assert said == "audio-pipeline: standard output: [Errno 28] No space left on device\n"
            assert process.returncode == 1
        reads, writes = os.pipe()
        os.close(reads)
        process = odd.start(*words, stdout=writes, stderr=subprocess.PIPE)
        os.close(writes)
        said = process.communicate(timeout=PATIENCE_S)[1].decode()
        assert process.returncode == 141 and not said
