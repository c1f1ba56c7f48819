"""The separation models there are: their specs, without their weights or the libraries that run them."""

from __future__ import annotations

from audio_pipeline.dsp.stft import Stft
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.separation.spec import Mode, ModelSpec

SPLEETER_MODES = {
    "offline": Mode(window=512, lookahead=0, sliding=False),
    "low": Mode(window=128, lookahead=0),
    "balanced": Mode(window=128, lookahead=3, decay=0.5),
    "quality": Mode(window=128, lookahead=16, decay=0.5),
}


def _spleeter(*stems: str) -> ModelSpec:
    """One released configuration of Spleeter: its network sees 1024 of 2049 bins, 0 to 11 kHz."""
    return ModelSpec(
        name=f"spleeter-{len(stems)}stems",
        stems=stems,
        rate=44_100,
        channels=2,
        stft=Stft(4096, 1024),
        bins=1024,
        representation="magnitude",
        modes=SPLEETER_MODES,
        default_mode="balanced",
        fallback=stems[-1],
    )


SPLEETER_2STEMS = _spleeter("vocals", "accompaniment")
SPLEETER_4STEMS = _spleeter("vocals", "drums", "bass", "other")
SPLEETER_5STEMS = _spleeter("vocals", "piano", "drums", "bass", "other")
DEEPFILTERNET = ModelSpec(
    name="deepfilternet",
    stems=("speech", "noise"),
    rate=48_000,
    channels=1,
    stft=Stft(960, 480, "vorbis"),
    bins=481,
    representation="complex",
    modes={"low": Mode(window=5, lookahead=2)},  # 2 frames of future, 2 of past for the filter, and the one revised
    default_mode="low",
    fallback="speech",
    stateful=True,
    stall_s=0.02,  # a miss is 10 ms of noise, heard once
)
_ALL = (SPLEETER_2STEMS, SPLEETER_4STEMS, SPLEETER_5STEMS, DEEPFILTERNET)
SPECS: dict[str, ModelSpec] = {spec.name: spec for spec in _ALL}


def spec_of(name: str) -> ModelSpec:
    """The spec of a model by name. Raises ConfigError, which names the nearest."""
    if name not in SPECS:
        raise ConfigError(f"model: expected one of {', '.join(SPECS)}, got {name!r}{nearest(name, SPECS)}")
    return SPECS[name]
