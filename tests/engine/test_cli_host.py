"""doctor, devices, models and nodes: what they say of a host, and that the pages in docs/nodes are current."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline import cli_host, cli_nodes, doctor, doctor_finding, doctor_sound, machine
from audio_pipeline.cli import main
from audio_pipeline.doctor_finding import Finding, install
from audio_pipeline.errors import DeviceError, WeightsError
from audio_pipeline.io.sound import Device
from audio_pipeline.node import ANY, Node, Ports
from audio_pipeline.registry import kinds
from audio_pipeline.settings import setting

PAGES = Path(__file__).resolve().parents[2] / "docs" / "nodes"
MICROPHONE = Device(
    3, "pulse", "ALSA", inputs=2, outputs=0, rate=44_100, is_default_input=True, is_default_output=False
)


@dataclass(frozen=True)
class Band:
    cut_hz: float = setting(80.0, "where it begins", unit="Hz", minimum=20)


@dataclass(frozen=True)
class Settings:
    path: str = setting(doc="a file | or none")
    gain_db: float | None = setting(None, "level", unit="dB", live=True)
    names: tuple[str, ...] = setting(("a",), "names")
    low: Band = setting(Band, "low band")


class Example(Node):
    """Shows what a page holds. The rest is detail.

    More words.
    """

    Settings = Settings
    PORTS = Ports(inputs=(ANY,), outputs=("out", "side"), events=("found",))


# -- nodes -------------------------------------------------------------------------------------------


def test_page_has_every_setting_with_default_unit_and_bounds() -> None:
    page = cli_nodes.pages({"example": Example})["example.md"]
    for row in (
        "| `path` | required | text |  | a file \\| or none |",
        "| `gain_db` | `none` | a number, dB | yes | level |",
        "| `names` | `[a]` | a list |  | names |",
        "| `low.cut_hz` | `80` | a number >= 20, Hz |  | where it begins |",
        "- in: any names, as the pipeline file gives them",
        "- out: out, side",
        "- events: found",
    ):
        assert row in page, row


def test_index_and_list_have_a_sentence_a_kind() -> None:
    assert "- [`example`](example.md): Shows what a page holds.\n" in cli_nodes.pages({"example": Example})["README.md"]


def test_committed_pages_are_current(tmp_path: Path) -> None:
    """Where this fails: audio-pipeline nodes --markdown docs/nodes."""
    wanted = cli_nodes.pages(kinds())
    assert {path.name: path.read_text("utf-8") for path in PAGES.glob("*.md")} == wanted


def test_writing_pages_removes_those_of_kinds_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "old_kind.md").write_text("gone")
    (tmp_path / "picture.png").write_bytes(b"")
    cli_nodes.write_pages(tmp_path, {"example": Example})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "example.md", "picture.png"]


def test_nodes_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes"]) == 0
    listed = capsys.readouterr().out
    assert all(any(line.startswith(name) for line in listed.splitlines()) for name in kinds())
    assert main(["nodes", "mixer"]) == 0
    assert "Settings of each input" in capsys.readouterr().out


# -- doctor ------------------------------------------------------------------------------------------


def test_lack_is_shown_with_its_mend() -> None:
    shown = list(doctor.lines([Finding("lacks", "sound", "no card", "buy one"), Finding("ok", "Python", "3.11")]))
    assert shown[0].startswith("✗ sound") and shown[1].strip() == "→ buy one" and shown[2].startswith("✓ Python")


def test_missing_and_old_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor, "requires", lambda name: ["numpy>=1.23", "nowhere>=1", "rich>=999", "x; extra == 'dev'"]
    )
    found = next(doctor.packages())
    assert found.level == "lacks" and found.detail == "missing: nowhere>=1, rich>=999"
    assert "'nowhere>=1' 'rich>=999'" in found.mend


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "sudo apt-get install libportaudio2"),
        ({"ID": "fedora"}, "sudo dnf install portaudio"),
        ({"ID": "manjaro", "ID_LIKE": "arch"}, "sudo pacman -S portaudio"),
        ({"ID": "unheard-of"}, "sudo apt-get install libportaudio2"),
    ],
)
def test_packages_are_named_as_the_system_names_them(
    monkeypatch: pytest.MonkeyPatch, release: dict[str, str], command: str
) -> None:
    monkeypatch.setattr(doctor_finding.platform, "freedesktop_os_release", lambda: release)
    assert install("libportaudio2") == command


def sound_found(
    monkeypatch: pytest.MonkeyPatch, devices: Any, server: str = "", cards: tuple[str, ...] = ()
) -> dict[str, Finding]:
    def list_devices() -> Any:
        if isinstance(devices, DeviceError):
            raise devices
        return devices

    monkeypatch.setattr(doctor_sound, "list_devices", list_devices)
    monkeypatch.setattr(doctor_sound, "sound_server", lambda: server)
    monkeypatch.setattr(doctor_sound, "sound_cards", lambda: list(cards))
    return {finding.what: finding for finding in doctor_sound.sound()}


def test_host_without_portaudio_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sound_found(monkeypatch, DeviceError("PortAudio is not installed"))
    assert found["PortAudio"].level == "could" and "portaudio" in found["PortAudio"].mend
    assert found["sound"].level == "could"


def test_host_with_a_sound_server_that_portaudio_cannot_see(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sound_found(monkeypatch, [], server="PulseAudio")
    assert found["sound"].level == "ok" and found["ALSA plugin"].mend


def test_host_with_sound_has_nothing_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sound_found(monkeypatch, [MICROPHONE], server="PipeWire", cards=("USB Audio",))
    assert {finding.level for finding in found.values()} == {"ok"}
    assert "1 to capture from, 0 to play to" in found["devices"].detail


def test_doctor_ends_with_1_only_for_what_all_pipelines_need(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for level, code in (("could", 0), ("lacks", 1)):
        monkeypatch.setattr(doctor, "findings", lambda level=level: iter([Finding(level, "it", "is so")]))
        assert main(["doctor"]) == code
    assert "✗ it" in capsys.readouterr().out


def test_doctor_looks_at_everything_on_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS", raising=False)
    found = {finding.what: finding for finding in doctor.findings()}
    assert {"Python", "packages", "processor", "runtime folder", "PortAudio", "sound", "GPU", "ffmpeg"} <= set(found)
    assert found["silero-vad"].mend == "audio-pipeline models fetch silero-vad"
    assert all(finding.mend for finding in found.values() if finding.level == "lacks")


def test_runtime_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audio-pipeline").mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = doctor.runtime_folder()
    assert found.level == "lacks" and "0700" in found.detail and found.mend


def test_machine_says_what_a_measurement_depends_on() -> None:
    assert {"System", "Processor", "Memory", "GPU", "Python", "Packages"} == set(machine.machine())


def test_gpu_is_asked_of_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + ":/bin")
    assert machine.gpus() == ["NVIDIA L4, 23034 MiB"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert machine.gpus() == [] and doctor.gpu().level == "could"


# -- devices and models ------------------------------------------------------------------------------


def test_devices_are_a_table_with_the_default_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_host, "list_devices", lambda: [MICROPHONE])
    assert main(["devices"]) == 0
    assert "3  pulse   ALSA     2*   0   44100" in capsys.readouterr().out


def test_host_without_devices_is_sent_to_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_host, "list_devices", list)
    assert main(["devices"]) == 4
    assert "audio-pipeline doctor" in capsys.readouterr().err


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An empty cache, and a fetch that only notes what it was asked for; demo-song cannot be had."""
    from audio_pipeline.models import weights

    asked: list[str] = []

    def fetch(name: str) -> Path:
        asked.append(name)
        if name == "demo-song":
            raise WeightsError("weights 'demo-song' could not be fetched")
        return tmp_path / name

    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS", raising=False)
    monkeypatch.setattr(weights, "fetch", fetch)
    yield asked


def test_models_are_listed(no_weights: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "spleeter-2stems  no    MIT" in shown and "CC BY 3.0" in shown


def test_one_that_fails_does_not_keep_the_others(no_weights: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "demo-song", "silero-vad"]) == 5
    assert no_weights == ["demo-song", "silero-vad"]
    shown = capsys.readouterr()
    assert "silero-vad: " in shown.out and "could not be fetched" in shown.err


def test_without_names_all_are_fetched_and_what_is_here_is_verified(no_weights: list[str]) -> None:
    main(["models", "fetch"])
    assert "spleeter-4stems" in no_weights
    assert main(["models", "verify"]) == 0
    assert main(["models", "verify", "silero-vad"]) == 5
