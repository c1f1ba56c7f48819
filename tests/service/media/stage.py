"""A media process in the test's thread, in front of a pipeline without processes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audio_pipeline.host.lock import Hold
from audio_pipeline.service.media.handover import Handed, hand_over
from audio_pipeline.service.media.server import Media
from tests.gateway.studio import Studio
from tests.service.media.browser import Browser, until


class Stage:
    """`clock` is moved by hand where the test says so."""

    def __init__(self, folder: Path, **media: Any) -> None:
        (folder / "service").mkdir(mode=0o700)
        self.folder = folder / "service"
        self.studio = Studio(folder)
        self.hold = Hold(self.studio.run.path)
        self.media = Media(self.folder, **media)
        self.browsers: list[Browser] = []

    def turn(self) -> None:
        """One of the media process, and one of each browser."""
        self.media.turn(1)
        for browser in self.browsers:
            browser.turn(0)

    def until(self, true_of: Callable[[], object], what: str = "it never came to that") -> None:
        def turned() -> object:
            self.turn()
            return true_of()

        until(turned, what)

    def arrive(self, **handed: Any) -> Browser:
        """A browser whose connection is handed over, and may be refused."""
        ours, theirs = socket.socketpair()
        browser = Browser(ours)
        browser.hand_over(self.folder, theirs, **{"run": str(self.studio.run.path), **handed})
        self.browsers.append(browser)
        return browser

    def browser(self, **handed: Any) -> Browser:
        """One that is let in."""
        browser = self.arrive(**handed)
        browser.await_open(self.turn)
        return browser

    def hand(self, client: socket.socket, head: bytes) -> None:
        """Any socket, with any head."""
        run = str(self.studio.run.path)
        handed = Handed(v=1, request=head, session="one", run=run, name="Ann", role="play")
        hand_over(self.folder, client, handed)

    def close(self) -> None:
        for browser in self.browsers:
            browser.close()
        self.media.stop()
        self.media.run()
        self.studio.close()
        self.hold.close()
