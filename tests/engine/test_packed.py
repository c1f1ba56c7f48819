"""msgpack of our own processes carries the bytes of any file name; from elsewhere text is UTF-8 or nothing."""

from __future__ import annotations

import os

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.control.codec import decode, encode
from audio_pipeline.errors import WireError
from audio_pipeline.frame_codec import pack_event
from audio_pipeline.packed import dumps, loads, unpack_map


@given(name=st.binary().map(os.fsdecode))
def test_a_name_of_any_bytes_comes_back(name: str) -> None:
    assert loads(dumps({"path": name, name: 1})) == {"path": name, name: 1}
    assert decode(encode({"op": "state", "folder": name})) == {"op": "state", "folder": name}


def test_text_of_strangers_is_utf_8() -> None:
    with pytest.raises(WireError, match="hello is not msgpack"):
        unpack_map(b"\x81\xa5token\xa2\xe9\xff", "hello", 100)


def test_in_an_event_a_name_is_as_it_is_shown() -> None:
    assert msgpack.unpackb(pack_event({"kind": "media", "media_id": os.fsdecode(b"caf\xe9")})) == {
        "kind": "media",
        "media_id": "caf\\udce9",
    }
