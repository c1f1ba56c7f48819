"""The console's files: a list fixed at the start, so that no name from elsewhere is ever looked up on the disk."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from audio_pipeline.service.web.errors import not_found

FOLDER = Path(__file__).parents[1] / "console"
IMPORT_MAP = re.compile(rb"<script[^>]*type=[\"']importmap[\"'][^>]*>(.*?)</script>", re.DOTALL)
KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml"}
SUFFIXES = {".css", ".html", ".ico", ".js", ".json", ".mjs", ".mp3", ".ogg", ".png", ".svg", ".txt", ".webmanifest"}
SUFFIXES |= {".flac", ".wasm", ".wav", ".woff2"}


@dataclass(frozen=True)
class Page:
    """One file."""

    body: bytes
    kind: str
    tag: str
    policy: str = ""


def pages(folder: Path = FOLDER) -> dict[str, Page]:
    """Every file by the path of its URL; `/` is the page itself."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.suffix in SUFFIXES and not path.name.startswith("."):
            found[f"/console/{path.relative_to(folder).as_posix()}"] = _page(path)
    if "/console/index.html" in found:
        found["/"] = found["/console/index.html"]
    return found


def _page(path: Path) -> Page:
    body = path.read_bytes()
    kind = KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    policy = content_policy(body) if path.suffix == ".html" else ""
    return Page(body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"', policy)


def content_policy(page: bytes) -> str:
    """What a page may load: its own files, and the import map that it states.

    https://www.w3.org/TR/CSP3/
    """
    hashes = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in IMPORT_MAP.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{text}'" for text in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Pages:
    """Answers for them."""

    def __init__(self, found: Mapping[str, Page]) -> None:
        self._found = found

    async def answer(self, request: Request) -> Response:
        """The file at the path of the request."""
        page = self._found.get(request.scope["path"])
        if page is None:
            raise not_found("page")
        headers = {"ETag": page.tag, "Cache-Control": "no-cache"}
        if page.policy:
            headers |= {"Content-Security-Policy": page.policy, "Permissions-Policy": "microphone=(self)"}
        if request.headers.get("if-none-match") == page.tag:
            return Response(None, 304, headers)
        return Response(page.body, 200, headers, page.kind)
