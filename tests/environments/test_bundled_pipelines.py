"""Each bundled pipeline on each odd host: it plays to its end, or one sentence names what this host lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audio_pipeline.models.weights import store
from tests.environments.hosts import NO_NETWORK, NOBODY, Host, host
from tests.environments.test_nothing_sent import CARD, NEEDS, PIPELINES

FEW_DESCRIPTORS = ("prlimit", "--nofile=512:512")
FIRST_PROCESS = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
OWN = ("host=own",)  # the host's services outlive a run, and here nothing may be left of it
SETS = {
    "studio": ("nodes.gateway.listen=127.0.0.1:0", "nodes.gateway.curve=false"),
    "vad": ("nodes.voice.path=song.wav",),
    "karaoke_browser": OWN,
    "stems_browser": OWN,
    "stems4_browser": OWN,
}


@dataclass(frozen=True)
class Oddity:
    """What is unusual about a host."""

    prefix: tuple[str, ...] = ()
    env: Mapping[str, str | None] = field(default_factory=dict)


ODD = {
    "no passwd entry": Oddity(NOBODY, {"HOME": "/"}),
    "no home": Oddity(NOBODY, {"HOME": None}),
    "512 descriptors": Oddity(FEW_DESCRIPTORS),
    "PID 1": Oddity(FIRST_PROCESS),
    "ASCII": Oddity(env=ASCII),
    "no network": Oddity(NO_NETWORK),
}
ALL_AT_ONCE = Oddity((*NO_NETWORK, *FIRST_PROCESS, *FEW_DESCRIPTORS, *NOBODY), {**ASCII, "HOME": "/"})


@contextmanager
def odd_host(tmp_path: Path, oddity: Oddity) -> Iterator[Host]:
    """A host with the weights of this one as the folder of its user."""
    weights = {"AUDIO_PIPELINE_MODELS": str(store.cache_folder())}
    with host(tmp_path, oddity.prefix, **{**weights, **oddity.env}) as odd:
        yield odd


def plays_or_names_what_is_missing(odd: Host, pipeline: str) -> None:
    """`Host.run` finds tracebacks and processes that are left."""
    missing = [name for name in NEEDS[pipeline] if store.locate(name).folder is None]
    if missing:
        pytest.skip(f"weights are not here (audio-pipeline models fetch {' '.join(missing)})")
    sets = [word for item in SETS.get(pipeline, ()) for word in ("--set", item)]
    code, said = odd.run("run", pipeline, "--no-view", "--duration", "1", "--folder", "take", *sets)
    if code == 0:
        assert "restarts 0" in said or "restarts" not in said, said
    else:
        sentence = said.strip().splitlines()[-1]
        assert pipeline in CARD and "this host has no sound" in sentence, said
        assert sentence.startswith("audio-pipeline: "), said


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_bundled_pipeline_runs_where_everything_is_odd_at_once(tmp_path: Path, pipeline: str) -> None:
    with odd_host(tmp_path, ALL_AT_ONCE) as odd:
        plays_or_names_what_is_missing(odd, pipeline)


@pytest.mark.long
@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("oddity", ODD)
def test_a_bundled_pipeline_runs_on_an_odd_host(tmp_path: Path, oddity: str, pipeline: str) -> None:
    with odd_host(tmp_path, ODD[oddity]) as odd:
        plays_or_names_what_is_missing(odd, pipeline)
