"""A browser, and a page of the console on a service that pretends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.service.console.development_server import DevelopmentServer, Pretended

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
PATIENCE_MS = 10_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium with a microphone that beeps; sound needs a click, as it does for people."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def pretended() -> Pretended:
    """What the service pretends."""
    return Pretended()


@pytest.fixture
def url(pretended: Pretended) -> Iterator[str]:
    """Where it is served."""
    server = DevelopmentServer(pretended)
    yield server.url
    server.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page; what the page itself gets wrong fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    made.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda message: "Security Policy" in message.text and faults.append(message.text))
    yield made
    context.close()
    assert faults == []
