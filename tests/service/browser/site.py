"""What a page needs of a web server in these tests: files, and upgrades that are handed to the media process."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from audio_pipeline.service.media.handover import Handed, hand_over

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = {
    "audio": ROOT / "audio_pipeline" / "service" / "console" / "audio",
    "page": Path(__file__).parent / "page",
}
KINDS = {".js": "text/javascript", ".html": "text/html"}
MOST_HEAD = 16_384


class Site:
    """Serves on a port of its own, `origin`; `run` is the folder of the pipeline that sound is for."""

    def __init__(self, media: Path, run: str) -> None:
        self._media, self._run = media, run
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(MOST_HEAD)
                if not data or len(head) > MOST_HEAD:
                    return
                head += data
            if b"upgrade: websocket" in head.lower():
                client.setblocking(False)
                handed = Handed(v=1, request=head, session="test", run=self._run, name="Ann", role="play")
                hand_over(self._media, client, handed)
            else:
                client.sendall(_response(head.split(b" ", 2)[1].decode()))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _response(target: str) -> bytes:
    """One of our files by its plain name, or 404."""
    target = target.partition("?")[0]
    folder, _, name = ("page/index.html" if target == "/" else target.lstrip("/")).partition("/")
    path = FOLDERS.get(folder, ROOT) / name
    if folder not in FOLDERS or path.name != name or not path.is_file():
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    body = path.read_bytes()
    kind = KINDS.get(path.suffix, "application/octet-stream")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
