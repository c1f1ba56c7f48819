"""Every gate for bytes from outside, tried a little; `tests/proofs/test_fuzz.py` tries a million."""

from __future__ import annotations

import math
import pickle
import struct
import time

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.control.codec import VERSION, request
from audio_pipeline.errors import ConfigError, WeightsError, WireError
from audio_pipeline.files.wav_format import WavFormat
from audio_pipeline.links.message_codec import unpack
from audio_pipeline.models.weights.pickles import load_arrays
from audio_pipeline.packed import MAX_DEPTH, unpack_map
from tests.fuzz.choice import nested
from tests.fuzz.control import quiet_supervisor
from tests.fuzz.mutate import Mutator
from tests.fuzz.targets import TARGETS

TRIES = 300


def test_the_shares_of_all_targets_are_the_whole() -> None:
    assert math.isclose(sum(target.share for target in TARGETS.values()), 1.0)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nearly_right_is_taken_or_refused(name: str) -> None:
    target = TARGETS[name]
    inputs = Mutator(target.seeds, seed=len(name))
    with target.open() as attempt:
        for seed in target.seeds:
            attempt(seed)
        for _ in range(TRIES):
            attempt(inputs.next())


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_taken_or_refused(name: str) -> None:
    with TARGETS[name].open() as attempt:

        @settings(derandomize=True, database=None)
        @given(st.binary(max_size=200))
        def check(data: bytes) -> None:
            attempt(data)

        check()


# -- what was found ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        {"v": VERSION, "id": 1, "op": "events", "since": math.inf},
        {"node": "song", "op": "reply", "id": math.inf},
        {"node": "song", "op": "event", "event": {"kind": "media", "position": math.inf, "media_s": 1.0}},
        *[{"node": "song", "op": "ready", "latency": [each] * 4, "live": []} for each in (math.inf, -5, 1 << 62, "x")],
    ],
)
def test_a_number_out_of_all_bounds_ends_no_pipeline(word: dict[str, object]) -> None:
    """`int(inf)` raises OverflowError, which is no ValueError: it ended the supervisor's thread."""
    with quiet_supervisor() as quiet:
        quiet.hear(msgpack.packb({"token": quiet.token, **word}))
        quiet.look()
        assert quiet.parts.state.nodes["song"].latency is None


@pytest.mark.parametrize("key", ["id", "node", "token", "value"])
def test_lists_in_lists_end_no_recursion(key: str) -> None:
    """A word may be 1000 deep for msgpack's reader, 511 for its writer, and less for whoever prints it."""
    with quiet_supervisor() as quiet:
        word = {"token": quiet.token, "v": VERSION, "id": 1, "op": "set", "node": "mix", "name": "x", "value": 1}
        del word[key]
        packed = msgpack.packb(word)
        deep = bytes([packed[0] + 1]) + packed[1:] + msgpack.packb(key) + b"\x91" * 900 + b"\x90"
        quiet.hear(deep)
        assert not quiet.answers[0]["ok"]
        quiet.look()


@pytest.mark.parametrize("what", ["control message", "event", "link message"])
def test_whatever_is_read_has_a_depth(what: str) -> None:
    assert unpack_map(msgpack.packb({"v": nested(MAX_DEPTH - 2)}), what, 1 << 16)
    for deep in (nested(MAX_DEPTH), nested(400)):
        with pytest.raises(WireError, match=f"{what} is nested deeper than {MAX_DEPTH} levels"):
            unpack_map(msgpack.packb({"v": deep}), what, 1 << 16)


def test_a_greeting_whose_version_is_a_tower_of_lists_is_no_word() -> None:
    """Its refusal would have printed it, which ended the producer."""
    with pytest.raises(WireError, match="nested deeper"):
        unpack(msgpack.packb({"t": "hello", "v": 0})[:-1] + b"\x91" * 900 + b"\x90")


def test_depth_and_id_have_a_limit_that_is_said() -> None:
    assert request(msgpack.packb({"value": nested(MAX_DEPTH - 2)}))
    with pytest.raises(WireError, match=f"control message is nested deeper than {MAX_DEPTH} levels"):
        request(msgpack.packb({"value": nested(MAX_DEPTH)}))
    with pytest.raises(WireError, match="an id of type list, expected a whole number or text"):
        request(msgpack.packb({"id": []}))


def test_a_pickle_gets_no_memory_for_the_asking() -> None:
    """LONG_BINPUT names a place in the memo; C's unpickler made room for all places before it: 2 GB for 4 bytes."""
    began = time.process_time()
    with pytest.raises(WeightsError):
        load_arrays(b"\x80\x02}r" + struct.pack("<I", 1 << 27) + b"cposix\nsystem\n.")
    assert time.process_time() - began < 1.0
    assert load_arrays(pickle.dumps({})) == {}


@pytest.mark.parametrize(("rate", "channels"), [(4_000_000_000, 2), (48_000, 65_535)])
def test_a_header_that_no_writer_could_have_written_is_none(rate: int, channels: int) -> None:
    """Its fields fit, what follows from them does not: bytes a second, bytes a sample. Repair crashed on it."""
    head = bytearray(WavFormat(48_000, 2, "float32").header(10))
    struct.pack_into("<HI", head, 58, channels, rate)
    assert WavFormat.parse(bytes(head)) is None
    with pytest.raises(ConfigError, match="a WAV header has no room for"):
        WavFormat(rate, channels, "float32")
