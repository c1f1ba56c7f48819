"""`doctor`: what it finds on a host, and the command that mends each lack."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.cli.main import main
from audio_pipeline.devices.sound import Device
from audio_pipeline.doctor import checks
from audio_pipeline.doctor import finding as doctor_finding
from audio_pipeline.doctor import separation as doctor_separation
from audio_pipeline.doctor import sound as doctor_sound
from audio_pipeline.doctor.finding import Finding, install
from audio_pipeline.errors import DeviceError
from audio_pipeline.host import machine
from audio_pipeline.models.separation import engines
from audio_pipeline.models.separation.engines import Figure, Way, known

MICROPHONE = Device(
    3, "pulse", "ALSA", inputs=2, outputs=0, rate=44_100, is_default_input=True, is_default_output=False
)


def test_lack_is_shown_with_its_mend() -> None:
    shown = list(checks.lines([Finding("lacks", "sound", "no card", "buy one"), Finding("ok", "Python", "3.11")]))
    assert shown[0].startswith("✗ sound") and shown[1].strip() == "→ buy one" and shown[2].startswith("✓ Python")


def test_the_policy_for_voices_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIO_PIPELINE_VOICES", str(tmp_path / "voices"))
    policy = tmp_path / "policy.yaml"
    policy.write_text("watermark: true")
    monkeypatch.setenv("AUDIO_PIPELINE_VOICE_POLICY", str(policy))
    found = list(checks.voices())
    assert [finding.level for finding in found] == ["ok", "ok"] and found[0].detail.startswith("0 enrolled in")
    policy.write_text("watermark: false\nconsent: false")
    assert list(checks.voices())[1].detail == f"the mark is off and consent is off ({policy})"
    policy.write_text("what")
    assert list(checks.voices())[1].level == "lacks"


def test_the_engine_of_separators_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.setattr(engines, "installed", lambda engine: "1.0")
    monkeypatch.setattr(doctor_separation, "installed", lambda engine: "1.0")
    (found,) = doctor_separation.separation()
    assert found.level == "ok" and found.detail.startswith("not measured yet")
    figures = [Figure(Way("onnxruntime", "fp32"), 17.0, 200.0), Figure(Way("openvino", "bf16"), 7.0, 53.0)]
    known("spleeter-2stems").remember(figures)
    (found,) = doctor_separation.separation()
    chosen = "spleeter-2stems: OpenVINO computes in bf16, which agrees with fp32 to 53 dB here, 7.0 ms"
    assert found.detail == f"{chosen}; ONNX Runtime fp32 17.0 ms"
    monkeypatch.setattr(doctor_separation, "installed", lambda engine: "")
    assert next(doctor_separation.separation()).mend.endswith("-m pip install openvino")


def test_missing_and_old_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        checks, "requires", lambda name: ["numpy>=1.23", "nowhere>=1", "rich>=999", "x; extra == 'dev'"]
    )
    found = next(checks.packages())
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


def test_without_portaudio_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
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
        found = [Finding(level, "it", "is so")]
        monkeypatch.setattr("audio_pipeline.cli.doctor.findings", lambda found=found: found)
        assert main(["doctor"]) == code
    assert "✗ it" in capsys.readouterr().out


def test_doctor_checks_everything_on_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS", raising=False)
    found = {finding.what: finding for finding in checks.findings()}
    assert {"Python", "packages", "processor", "runtime folder", "PortAudio", "sound", "GPU", "ffmpeg"} <= set(found)
    assert found["silero-vad"].mend == "audio-pipeline models fetch silero-vad"
    assert all(finding.mend for finding in found.values() if finding.level == "lacks")


def test_runtime_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audio-pipeline").mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = checks.runtime_folder()
    assert found.level == "lacks" and "0700" in found.detail and found.mend


def test_machine_has_what_a_measurement_depends_on() -> None:
    assert {"System", "Processor", "Memory", "GPU", "Python", "Packages"} == set(machine.machine())


def test_gpu_is_asked_of_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + ":/bin")
    assert machine.gpus() == ["NVIDIA L4, 23034 MiB"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert machine.gpus() == [] and checks.gpu().level == "could"
