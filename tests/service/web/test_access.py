"""Who is let in, from where, and to what."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from audio_pipeline.errors import KeysError
from audio_pipeline.keys import may
from audio_pipeline.service.access import ApiKeys, Identity, Tickets, digest
from audio_pipeline.service.web.table import ROUTES
from tests.service.web.serving import ORIGIN, PORT, client_of, login, service_in, token

NUMBER = "0123456789abcdef"


def path_of(template: str) -> str:
    return template.replace("{id}", NUMBER).replace("{take}", NUMBER).replace("{track}", NUMBER)


@pytest.mark.parametrize("role", [None, "listen", "play", "control"])
def test_each_route_lets_in_its_role_and_those_above(tmp_path: Path, role: str | None) -> None:
    async def statuses() -> dict[tuple[str, str], int]:
        async with client_of(service_in(tmp_path), role) as client:
            return {
                (route.method, route.path): (await client.request(route.method, path_of(route.path))).status_code
                for route in ROUTES
                if route.path not in ("/v1/logout", "/v1/drain")  # they change what the others get
            }

    for (method, path), status in asyncio.run(statuses()).items():
        wanted = next(route.role for route in ROUTES if (route.method, route.path) == (method, path))
        if wanted is None:
            assert status != 403, path
        elif role is None:
            assert status == 401, (method, path)
        else:
            assert (status == 403) == (not may(role, wanted)), (method, path, status)


def test_a_login_link_works_once(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    body = {"token": token(service, "play")}

    async def go() -> list[httpx.Response]:
        async with client_of(service, None) as client:
            answers = await asyncio.gather(*(client.post("/v1/login", json=body) for _ in range(5)))
            return [*answers, await client.get("/v1/me")]

    *logins, me = asyncio.run(go())
    assert sorted(answer.status_code for answer in logins) == [204, 401, 401, 401, 401]
    cookie = next(answer.headers["set-cookie"] for answer in logins if answer.status_code == 204)
    assert "; HttpOnly" in cookie and "; SameSite=Strict" in cookie and "; Path=/" in cookie
    assert me.json() == {"name": "ann", "role": "play"}


def test_a_logout_ends_the_cookie_on_the_server(tmp_path: Path) -> None:
    service = service_in(tmp_path)

    async def go() -> list[int]:
        async with client_of(service) as client:
            kept = dict(client.cookies)
            before = await client.get("/v1/me")
            await client.post("/v1/logout")
            client.cookies.update(kept)
            return [before.status_code, (await client.get("/v1/me")).status_code]

    assert asyncio.run(go()) == [200, 401]


def test_guesses_of_tokens_are_slowed_down(tmp_path: Path) -> None:
    async def go() -> list[httpx.Response]:
        async with client_of(service_in(tmp_path), None) as client:
            return [await client.post("/v1/login", json={"token": "x" * 43}) for _ in range(15)]

    answers = asyncio.run(go())
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert {answer.status_code for answer in answers[11:]} == {429}
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "127.0.0.1.evil.example:8080", "169.254.1.1:8080", "",
     "a@127.0.0.1:8080", "127.0.0.1:8080/x", "127.0.0.1:8080?x", "[::1", "\u00e9"],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(tmp_path: Path, host: str) -> None:
    async def go() -> httpx.Response:
        async with client_of(service_in(tmp_path)) as client:
            return await client.get("/v1/me", headers={"Host": host.encode("utf-8")})

    assert asyncio.run(go()).status_code == 421


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_names_of_loopback_are_ours(tmp_path: Path, host: str) -> None:
    async def go() -> httpx.Response:
        async with client_of(service_in(tmp_path)) as client:
            return await client.get("/v1/me", headers={"Host": host, "Origin": f"http://{host}"})

    assert asyncio.run(go()).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", f"http://localhost:{PORT}", f"https://127.0.0.1:{PORT}", "http://127.0.0.1",
     f"http://127.0.0.1:{PORT}.evil.example", f"{ORIGIN}/", f"http://127.0.0.1:{PORT}1"],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused_whatever_its_cookie(tmp_path: Path, origin: str) -> None:
    async def go() -> list[int]:
        async with client_of(service_in(tmp_path)) as client:
            headers = {"Origin": origin}
            return [
                (await client.get("/v1/me", headers=headers)).status_code,
                (await client.post("/v1/drain", headers=headers)).status_code,
            ]

    assert asyncio.run(go()) == [403, 403]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_from_another_site_is_refused_without_an_origin_too(tmp_path: Path, site: str) -> None:
    async def go() -> list[int]:
        async with client_of(service_in(tmp_path)) as client:
            headers = {"Sec-Fetch-Site": site}
            return [(await client.get(path, headers=headers)).status_code for path in ("/v1/sessions", "/healthz")]

    assert asyncio.run(go()) == [403, 200]


def test_behind_a_proxy_its_url_is_the_origin(tmp_path: Path) -> None:
    service = service_in(tmp_path, host="0.0.0.0", public=("https://music.example",))

    async def go() -> list[int]:
        async with client_of(service, base="https://music.example") as client:
            origins = ("https://music.example", "http://music.example", "https://evil.example")
            return [(await client.get("/v1/me", headers={"Origin": origin})).status_code for origin in origins]

    assert asyncio.run(go()) == [200, 403, 403]
    assert login(service)


def test_a_form_of_another_site_can_make_nothing(tmp_path: Path) -> None:
    """What a form can send without a preflight: three content types, none of which is taken."""

    async def go() -> set[int]:
        async with client_of(service_in(tmp_path)) as client:
            kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
            content = b'{"config":"karaoke_browser"}'
            return {
                (await client.post("/v1/sessions", content=content, headers={"Content-Type": kind})).status_code
                for kind in kinds
            }

    assert asyncio.run(go()) == {415}


def test_an_api_key_comes_in_by_its_digest(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    key = service.keys.new("robot", "play")
    file = Path(service.options.keys) / "api_keys.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in file.read_text() and json.loads(file.read_text())["robot"]["sha256"] == digest(key)

    async def go(authorization: str) -> httpx.Response:
        async with client_of(service, None) as client:
            return await client.get("/v1/me", headers={"Authorization": authorization})

    assert asyncio.run(go(f"Bearer {key}")).json() == {"name": "robot", "role": "play"}
    for wrong in (f"Bearer {key[:-1]}x", f"Basic {key}", "Bearer ", key, f"Bearer {digest(key)}"):
        assert asyncio.run(go(wrong)).status_code == 401
    service.keys.remove("robot")
    assert asyncio.run(go(f"Bearer {key}")).status_code == 401


def test_a_key_file_that_others_can_read_lets_nobody_in(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    key = service.keys.new("robot", "control")
    (Path(service.options.keys) / "api_keys.json").chmod(0o644)

    async def go() -> httpx.Response:
        async with client_of(service, None) as client:
            return await client.get("/v1/me", headers={"Authorization": f"Bearer {key}"})

    assert asyncio.run(go()).status_code == 503


def test_names_and_roles_of_keys_are_checked(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    keys.new("robot", "listen")
    for name, role in (("robot", "listen"), ("", "listen"), ("a\nb", "listen"), ("x", "host"), ("x", "admin")):
        with pytest.raises(KeysError):
            keys.new(name, role)
    with pytest.raises(KeysError, match="no API key is called"):
        keys.remove("somebody")


def test_tickets_are_bounded_and_end(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path / "cookies", most=3)
    secrets = [tickets.issue(Identity("ann", "listen"), 60.0) for _ in range(5)]
    assert len(list((tmp_path / "cookies").iterdir())) == 3
    assert tickets.identity(secrets[-1]) == Identity("ann", "listen")
    assert tickets.identity(tickets.issue(Identity("ann", "listen"), -1.0)) is None
    for wrong in ("", "x", "../" * 15, "x" * 43):
        assert tickets.identity(wrong) is None
