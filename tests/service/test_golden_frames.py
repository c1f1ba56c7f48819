"""The frames that all readers share: here the Python one; the JavaScript one reads the same file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from audio_pipeline.errors import WireError
from audio_pipeline.frame_codec import parse
from tests.service.golden_frames import FIELDS, FILE, text

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_file_is_what_its_program_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "python -m tests.service.golden_frames writes it"


@pytest.mark.parametrize("golden", GOLDEN["good"], ids=lambda golden: golden["name"])
def test_a_golden_frame_is_read(golden: dict[str, Any]) -> None:
    frame = parse(bytes.fromhex(golden["hex"]))
    assert {field: getattr(frame, field) for field in FIELDS} == {field: golden[field] for field in FIELDS}
    assert frame.event == golden["event"]
    np.testing.assert_array_equal(frame.audio().ravel(), np.array(golden["sound"], np.float32))


@pytest.mark.parametrize("golden", GOLDEN["bad"], ids=lambda golden: golden["name"])
def test_a_frame_that_is_none_is_refused(golden: dict[str, str]) -> None:
    with pytest.raises(WireError):
        parse(bytes.fromhex(golden["hex"]))
