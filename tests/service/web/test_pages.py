"""The console's files: a list fixed at the start, and a policy that allows them alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path

import httpx
import pytest

from audio_pipeline.service.web.app import make_app
from audio_pipeline.service.web.pages import content_policy, pages
from tests.service.web.serving import ORIGIN, service_in

MAP = b'\n{"imports": {"preact": "/console/vendor/preact.js"}}\n'
PAGE = b'<!doctype html><script type="importmap">' + MAP + b"</script><script type=module src=/console/app.js></script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "console"
    (found / "vendor").mkdir(parents=True)
    (found / "index.html").write_bytes(PAGE)
    (found / "vendor" / "preact.js").write_text("export const x = 1;")
    (found / "secret.py").write_text("x = 1")
    (found / ".hidden.js").write_text("x")
    return found


def test_only_files_of_the_console_are_served(folder: Path) -> None:
    assert pages(folder).keys() == {"/", "/console/index.html", "/console/vendor/preact.js"}


def test_the_policy_allows_the_import_map_as_it_is_and_no_other_script() -> None:
    digest = base64.b64encode(hashlib.sha256(MAP).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in content_policy(PAGE).split(";"))
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not any("unsafe" in value or "*" in value for value in policy.values())


def test_pages_are_sent_with_their_type_and_once(folder: Path, tmp_path: Path) -> None:
    async def go() -> list[httpx.Response]:
        app = make_app(service_in(tmp_path), pages(folder))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
            page, script = await client.get("/"), await client.get("/console/vendor/preact.js")
            again = await client.get("/", headers={"If-None-Match": page.headers["etag"]})
            return [page, script, again, await client.get("/console/secret.py"), await client.post("/")]

    page, script, again, secret, posted = asyncio.run(go())
    assert page.content == PAGE and page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == content_policy(PAGE)
    assert script.headers["content-type"].startswith("text/javascript")
    assert (again.status_code, secret.status_code, posted.status_code) == (304, 404, 405)
