"""What a pipeline file may set of a separator, and how its stream is cut under these settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from audio_pipeline.dsp.ramp import db_to_gain
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.separation.catalogue import SPECS, spec_of
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.separation.spec import ModelSpec
    from audio_pipeline.models.separation.types import SeparatorSettings

OFFLINE_HOP = 4
FADERS = ("vocals", "accompaniment", "piano", "drums", "bass", "other")  # each was a setting of its own once


@dataclass(frozen=True)
class Settings:
    RENAMED: ClassVar = {
        "stems": "model: spleeter-2stems, spleeter-4stems or spleeter-5stems",
        **{f"{stem}_db": f"faders: {{{stem}: dB}}" for stem in FADERS},
    }
    model: str = setting(
        "spleeter-2stems",
        "spleeter-2stems: vocals, accompaniment; spleeter-4stems: vocals, drums, bass, other; spleeter-5stems: piano "
        "as well; deepfilternet: speech, noise, in 40 ms",
        choices=tuple(SPECS),
    )
    mode: str | None = setting(
        None,
        "Spleeter: offline, its own segments of 12 s; low, balanced (default), quality: a sliding window with 0, 3, 16 "
        "frames (of 23 ms) of lookahead; DeepFilterNet: low",
        choices=("offline", "low", "balanced", "quality"),
    )
    hop: int = setting(
        0,
        f"frames between inferences; 0: live the fewest that this machine sustains, offline {OFFLINE_HOP}",
        choices=(0, 1, 2, 4, 8, 16, 32),
    )
    outputs: str = setting(
        "stems",
        "stems: an output for each; mix: one output with faders, at lower cost; or both",
        choices=("stems", "mix", "both"),
    )
    residual: bool = setting(False, "the last stem is the mixture minus the others: full bandwidth, adds up")
    normalise: bool | None = setting(
        None,
        "raise quiet music to the model's training level, and lower it again; default with Spleeter, except in mode "
        "offline",
    )
    device: str = setting("auto", "auto: a GPU if there is one", choices=("auto", "cpu", "cuda"))
    calm_s: float = setting(
        10.0,
        "live: time without a missed deadline before a step up the ladder",
        unit="s",
        minimum=1.0,
        maximum=3600.0,
    )
    precision: str = setting(
        "auto",
        "auto: in mode offline fp32; else the fastest here that agrees with fp32 to 50 dB, measured once",
        choices=("auto", "fp32", "fp16", "bf16"),
    )
    engine: str = setting(
        "auto", "for Spleeter on a CPU; auto: the faster one here", choices=("auto", "onnxruntime", "openvino")
    )
    worker: str = setting(
        "own",
        "live: own computes in this node's process; served in a process of the host for the streams of all pipelines, "
        "without memory for weights in this one",
        choices=("own", "served"),
    )
    batch: int = setting(
        1,
        "number of separators in one process (`process:`) that share the model; they do not affect each other's sound",
        minimum=1,
        maximum=32,
    )
    threads: int = setting(
        0, "CPU threads of an inference; 0: one for each core, DeepFilterNet one", minimum=0, maximum=64
    )
    faders: dict[str, float] = setting(
        dict,
        "levels of stems in the output mix, such as {vocals: -20}; others are at 0, -120 is off",
        unit="dB",
        minimum=-120.0,
        maximum=24.0,
        live=True,
    )

    def __post_init__(self) -> None:
        if not self.spec.mode(self.separation_mode).sliding and self.worker == "served":
            raise ConfigError(f"worker: expected own with mode {self.separation_mode!r}, got 'served'")
        for stem in self.faders:
            if stem not in self.spec.stems:
                close, known = nearest(stem, self.spec.stems), ", ".join(self.spec.stems)
                raise ConfigError(f"faders: expected stems of {self.model} ({known}), got {stem!r}{close}")
        object.__setattr__(self, "faders", {stem: self.faders.get(stem, 0.0) for stem in self.spec.stems})

    @property
    def spec(self) -> ModelSpec:
        """Of the model that was chosen."""
        return spec_of(self.model)

    @property
    def separation_mode(self) -> str:
        """The mode that was chosen, or the model's own."""
        return self.mode or self.spec.default_mode

    @property
    def wanted_precision(self) -> str:
        """The precision that was chosen; offline, where nothing waits for it, the sound is exact."""
        exact = self.precision == "auto" and not self.spec.mode(self.separation_mode).sliding
        return "fp32" if exact else self.precision


def stream_settings(settings: Settings, hop: int = OFFLINE_HOP) -> SeparatorSettings:
    """How the stream is cut, which outputs it has and what is done around the model; `hop` where none is set."""
    from audio_pipeline.dsp.normalise import NormaliserSettings
    from audio_pipeline.models.separation.types import SeparatorSettings

    mode, spec = settings.separation_mode, settings.spec
    outputs = {} if settings.outputs == "mix" else {stem: {stem: 1.0} for stem in spec.stems}
    if settings.outputs != "stems":
        outputs["mix"] = {stem: db_to_gain(level_db) for stem, level_db in settings.faders.items()}
    normalised = spec.representation == "magnitude" and mode != "offline"
    normalise = NormaliserSettings() if (normalised if settings.normalise is None else settings.normalise) else None
    return SeparatorSettings(mode, settings.hop or hop, outputs, settings.residual, normalise)
