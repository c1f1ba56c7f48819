"""What a second of speech costs in the networks of coqui-tts, at their released sizes, with random weights.

    PYTHONPATH=. ~/.cache/audio-pipeline/envs/coqui/bin/python benchmarks/coqui_speed.py [THREADS]

Speed does not depend on the values of weights; how anything sounds does, so nothing is said about that. Writes 2 GB
to a temporary folder.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from audio_pipeline.models.speech.coqui import import_coqui
from tests.proofs.coqui_small import make_xtts, noise

TEXT = "Nobody was there, of course, since it had rained all day."
WINDOWS_S = (0.25, 0.5, 1.0)
REPEATS = 5


def main() -> None:
    """Print both tables."""
    import_coqui()
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as name:
        openvoice(Path(name) / "openvoice")
        xtts(Path(name) / "xtts")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


def seconds(function: Callable[[], Any]) -> float:
    """Of a call, the median of some."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


def openvoice(folder: Path) -> None:
    """The converter on windows of several lengths."""
    from TTS.vc.configs.openvoice_config import OpenVoiceConfig
    from TTS.vc.models.openvoice import OpenVoice

    from audio_pipeline.models.convert.coqui_vc import OpenVoiceConverter

    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    torch.save({"model": OpenVoice(OpenVoiceConfig()).state_dict()}, folder / "checkpoint.pth")
    converter = OpenVoiceConverter(folder, device="cpu")
    converter.aim(noise(3, converter.rate), converter.rate)
    print("| OpenVoice, window | to convert it | of its length |\n| --- | --- | --- |")
    for window_s in WINDOWS_S:
        x = noise(window_s, converter.rate)
        took = seconds(lambda x=x: converter.convert(x, 0))  # type: ignore[misc]
        print(f"| {window_s:g} s | {took * 1000:.0f} ms | {took / window_s:.2f} |")


def xtts(folder: Path) -> None:
    """Loading, enrolling, the first sound, and what follows."""
    from audio_pipeline.models.speech.xtts import RATE, Xtts, XttsVoice

    make_xtts(folder, {})
    began = time.perf_counter()
    model = Xtts(folder, device="cpu")
    print(f"\nXTTS: loaded in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    voice = model.condition(noise(6, RATE), RATE)
    print(f"latents of a 6 s reference: {time.perf_counter() - began:.1f} s")
    latents = sum(1 for _ in model.latents(TEXT, "en", voice, 0))
    began = time.perf_counter()
    parts, first_s = 0, 0.0
    for part in XttsVoice(model, voice).stream(TEXT):
        first_s = first_s or time.perf_counter() - began
        parts += len(part)
    took = time.perf_counter() - began
    print(
        f"{latents} latents, {parts / RATE:.1f} s of sound in {took:.1f} s: {took * RATE / parts:.2f} of its length; "
        f"the first sound after {first_s:.2f} s"
    )


if __name__ == "__main__":
    main()
