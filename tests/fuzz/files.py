"""Bytes in files: pipelines, what a dead run leaves in its folder, recordings, weights."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.clock import ClockLine, ClockRecord
from audio_pipeline.errors import ConfigError, MediaError, WeightsError
from audio_pipeline.files.wav import repair
from audio_pipeline.files.wav_format import WavFormat
from audio_pipeline.files.wav_part import part_of
from audio_pipeline.graph.load import loads
from audio_pipeline.graph.yamlfile import MAX_VALUES
from audio_pipeline.histogram import quantile_ms
from audio_pipeline.host import runtime
from audio_pipeline.metrics import Board, Reading
from audio_pipeline.models.weights.pickles import load_arrays
from tests.engine.graphs import text_of
from tests.fuzz.choice import Choice

PIPELINE = text_of(
    """song: {kind: noise, seed: 0}
mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence, budget_ms: 100, policy: block}}}
out: {kind: sink, inputs: {a: mix}}"""
)
PIECES = (
    *PIPELINE.split("\n"),
    "*a",
    "&a ",
    "<<: *a",
    "!!python/object/apply:os.system [ls]",
    "!!python/name:os.system ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "|\n",
    ">",
    '"',
    "'",
    "1e999",
    "0x_",
    ".nan",
    "2024-13-45",
    "%",
    "---",
    "...",
    "?",
    "\t",
    "\n  ",
    "  from: nobody.out",
    "  kind: ../../x",
    "rate: -1",
    "node_paths: [.]",
    "\u2028",
    "\0",
    "!!binary x",
)
YAML_SEEDS = [
    PIPELINE.encode(),
    b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 8)),
]


@contextmanager
def yaml() -> Iterator[Callable[[bytes], None]]:
    """A pipeline file, as bytes or of pieces: a graph or one sentence, without anything having been run."""

    def target(data: bytes) -> None:
        choice = Choice(data)
        text = data[1:].decode("utf-8", "replace")
        if choice.chance(2):
            text = "".join(choice.pick(PIECES) + choice.pick(("\n", "", " ")) for _ in range(min(len(data), 24)))
        try:
            graph = loads(text, "p.yaml")
        except ConfigError as error:
            assert str(error) and len(str(error)) < 20_000 + len(text)
            return
        assert len(graph.nodes) < MAX_VALUES

    yield target


@contextmanager
def run_folder() -> Iterator[Callable[[bytes], None]]:
    """Lock, pids, boards and clock of a run whose process died in the middle of writing them."""
    with tempfile.TemporaryDirectory(prefix="f") as name:
        folder = Path(name)
        Board(folder / "board").close()
        ClockRecord(folder / "clock", create=True).close()
        board = (folder / "board").read_bytes()

        def target(data: bytes) -> None:
            choice = Choice(data)
            which, content = choice.byte() % 4, data[1:]
            if which == 0:
                (folder / "lock").write_bytes(content)
                runtime.is_alive(folder)
            elif which == 1:
                (folder / "pids").write_bytes(bytes(byte for byte in content if byte not in b"123456789"))
                assert runtime._end_leftovers(folder) == [], "no process has a number without digits but 0"
            elif which == 2:
                (folder / "board").write_bytes(content + board[len(content) :])
                reading = Reading(folder / "board")
                _ = [quantile_ms(counts, 0.5) for counts in reading.histograms.values() if len(counts) == 64]
            else:
                (folder / "clock").write_bytes((content + bytes(40))[:40])
                record = ClockRecord(folder / "clock")
                assert isinstance(record.read(), ClockLine | None)
                record.close()

        yield target


RUN_SEEDS = [b'\0{"pid": 1, "started": 12.5}', b"\x01 0 12.5\n-0 1\n", b"\x02a\t64\t1\nb\t65\t64\n~c\t130\t1\n"]


@contextmanager
def recording() -> Iterator[Callable[[bytes], None]]:
    """A WAV file that was cut or spoilt: mended, with its length in its header, or refused."""
    with tempfile.TemporaryDirectory(prefix="f") as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)  # the disk is not what is tried
        path = Path(name) / "take.wav"

        def target(data: bytes) -> None:
            part_of(path).write_bytes(data)
            try:
                mended = repair(path)
            except MediaError:
                part_of(path).unlink()
                return
            whole = mended.path.read_bytes()
            assert whole[: mended.format.header_bytes] == mended.format.header(mended.samples)
            assert len(whole) - mended.format.header_bytes - mended.samples * mended.format.frame_bytes in (0, 1)
            mended.path.unlink()

        yield target


WAV_SEEDS = [
    WavFormat(48_000, channels, subtype).header(length) + bytes(range(60))
    for channels, subtype, length in ((2, "float32", 100), (1, "pcm16", 0), (6, "pcm24", 1 << 40))
]


@contextmanager
def checkpoint() -> Iterator[Callable[[bytes], None]]:
    """A pickle: arrays by name or a refusal, and never a call of anything."""

    def target(data: bytes) -> None:
        try:
            arrays = load_arrays(data)
        except WeightsError:
            arrays = {}
        assert all(isinstance(array, np.ndarray) for array in arrays.values())

    yield target


ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
PICKLE_SEEDS = [pickle.dumps(ARRAYS, protocol) for protocol in (0, 2, 3, 4)]
PICKLE_SEEDS += [b"cos\nsystem\n(S'ls'\ntR.", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R."]
