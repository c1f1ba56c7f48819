"""The console's files as they are served: kinds, and the policy that its page comes with."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

CONSOLE = Path(__file__).resolve().parents[3] / "audio_pipeline" / "service" / "console"
KINDS = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
IMPORT_MAP = re.compile(rb"<script type=\"importmap\">(.*?)</script>", re.DOTALL)
Served = tuple[bytes, Mapping[str, str]]


def policy() -> str:
    """The Content-Security-Policy of the page, with the hash of its import map."""
    found = IMPORT_MAP.search((CONSOLE / "index.html").read_bytes())
    assert found is not None, "the page has no import map"
    digest = base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def files() -> dict[str, Served]:
    """By path of the URL."""
    found: dict[str, Served] = {}
    for path in sorted(CONSOLE.rglob("*")):
        if path.suffix in KINDS:
            kind = {"Content-Type": KINDS[path.suffix]}
            found[f"/console/{path.relative_to(CONSOLE).as_posix()}"] = (path.read_bytes(), kind)
    page, kind = found["/console/index.html"]
    return {**found, "/": (page, {**kind, "Content-Security-Policy": policy()})}
