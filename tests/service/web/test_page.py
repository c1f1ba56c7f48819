"""The page of the API says what the route table says."""

from __future__ import annotations

from audio_pipeline.service.web.page import PAGE, with_table
from tests.shared import ROOT


def test_the_table_of_the_api_is_up_to_date() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert "| `POST /v1/sessions` |" in page
    assert page == with_table(page), "python -m audio_pipeline.service.web.page --write"
