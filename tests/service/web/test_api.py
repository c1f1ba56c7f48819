"""The REST API: sessions, files, takes, errors in one shape, paths that lead nowhere."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from audio_pipeline.files.sidecar import Sidecar, TrackInfo
from audio_pipeline.service.budget import Cost
from audio_pipeline.service.session.folder import ENDED, SessionFolder, SessionJob, SessionStatus
from audio_pipeline.service.takes import track_id
from audio_pipeline.service.web.state import Service
from tests.service.web.serving import client_of, service_in

NUMBER = "0123456789abcdef"
TRICKS = ("%2e%2e", "%2e%2e%2fx", "..%2f..%2fetc%2fpasswd", "%00", "x" * 16, NUMBER, NUMBER.upper(), "a%5cb")


def run(service: Service, *requests: tuple[str, str, dict[str, Any]], role: str = "control") -> list[httpx.Response]:
    """The answers to requests in order."""

    async def go() -> list[httpx.Response]:
        async with client_of(service, role) as client:
            return [await client.request(method, path, **more) for method, path, more in requests]

    return asyncio.run(go())


def is_error(answer: httpx.Response) -> bool:
    body = answer.json()["error"]
    return {"message", "code", "where"} <= body.keys() and bool(body["message"])


def ended_session(service: Service) -> SessionFolder:
    """A session that is over, on disk."""
    entry = service.catalog.entry("karaoke_browser")
    folder = SessionFolder.create(service.options.sessions, SessionJob(entry.offer.id, str(entry.path)))
    folder.write_status(SessionStatus(ENDED, pid=1))
    return folder


def take_in(folder: SessionFolder, take: str = NUMBER) -> bytes:
    """A take with one finished track; its bytes."""
    place = folder.takes / take
    place.mkdir()
    soundfile.write(place / "vocals.wav", np.zeros(4_800), 48_000)
    sidecar = Sidecar(place, "run", "rec")
    sidecar.begin("vocals", TrackInfo("vocals.wav", 48_000, 0, 4_800, track="vocals", finished=True))
    return (place / "vocals.wav").read_bytes()


# -- sessions ---------------------------------------------------------------------------------------------------


def test_a_session_is_made_with_what_it_is_stated_to_take(tmp_path: Path) -> None:
    body = {"config": "karaoke_browser", "set": {"song.loop": False}, "label": "Ann", "lease_s": 0}
    made, listed = run(service_in(tmp_path), ("POST", "/v1/sessions", {"json": body}), ("GET", "/v1/sessions", {}))
    assert made.status_code == 201
    session = made.json()
    assert made.headers["location"] == f"/v1/sessions/{session['id']}"
    assert (session["state"], session["label"], session["lease_s"]) == ("starting", "Ann", 0.0)
    assert session["ports"][0] == {"port": "mix.out", "channels": 2} and session["feeds"] == ["singer"]
    assert session["stated"]["monitor_ms"] > 0 < session["reserved"]["cores"]
    assert session["id"] in [each["id"] for each in listed.json()]
    job = json.loads((tmp_path / "state" / "sessions" / session["id"] / "job.json").read_text())
    assert job["overrides"] == {"nodes.song.loop": False} and job["owner"] == "ann"


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"config": "karaoke"}, 422, "config"),
        ({"config": "../../etc/passwd"}, 422, "config"),
        ({"config": "karaoke_browser", "set": {"song.path": "/etc/passwd"}}, 422, "set.song.path"),
        ({"config": "karaoke_browser", "set": {"rec.folder": "/x"}}, 422, "set"),
        ({"config": "karaoke_browser", "set": {"song.loop": "often"}}, 422, "nodes.song.loop"),
        ({"config": "karaoke_browser", "set": {"mix.inputs.vocals.gain_db": 1e9}}, 422, ""),
        ({"config": "karaoke_browser", "graph": {}}, 422, "body"),
        ({"config": 7}, 422, "body"),
        ({"config": "karaoke_browser", "lease_s": -1}, 422, "body"),
        ([], 422, "body"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_with_its_place(
    tmp_path: Path, body: object, status: int, where: str
) -> None:
    service = service_in(tmp_path)
    (answer,) = run(service, ("POST", "/v1/sessions", {"json": body}))
    assert answer.status_code == status and is_error(answer)
    assert where in answer.json()["error"]["where"]
    assert service.budget.reserved == Cost(0.0, 0.0) and service.sessions.all() == []


def test_of_a_hundred_at_once_as_many_are_let_in_as_fit(tmp_path: Path) -> None:
    fits = 7
    entry = service_in(tmp_path / "x").catalog.entry("karaoke_browser")
    service = service_in(tmp_path, limit=Cost(entry.cost.cores * (fits + 0.5), 1e6))

    async def go() -> list[httpx.Response]:
        async with client_of(service) as client:
            body = {"config": "karaoke_browser"}
            return await asyncio.gather(*(client.post("/v1/sessions", json=body) for _ in range(100)))

    answers = asyncio.run(go())
    refused = [answer for answer in answers if answer.status_code == 503]
    assert sum(answer.status_code == 201 for answer in answers) == fits and len(refused) == 100 - fits
    error = refused[0].json()["error"]
    assert (error["code"], error["what"]) == ("capacity", "cpu") and error["need"] > error["free"]
    assert int(refused[0].headers["retry-after"]) > 0


def test_a_service_that_drains_accepts_none(tmp_path: Path) -> None:
    drained, made, ready = run(
        service_in(tmp_path),
        ("POST", "/v1/drain", {}),
        ("POST", "/v1/sessions", {"json": {"config": "karaoke_browser"}}),
        ("GET", "/readyz", {}),
    )
    assert (drained.status_code, made.status_code, ready.status_code) == (200, 503, 503)
    assert made.json()["error"]["code"] == "draining" and "about to end" in ready.json()["reasons"][0]


def test_a_session_is_not_sent_again_to_who_has_it(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    path = f"/v1/sessions/{ended_session(service).id}"
    (first,) = run(service, ("GET", path, {}))
    again, other = run(
        service,
        ("GET", path, {"headers": {"If-None-Match": first.headers["etag"]}}),
        ("GET", path, {"headers": {"If-None-Match": '"x"'}}),
    )
    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200) and not again.content


def test_a_session_that_is_over_changes_no_more_and_can_be_deleted(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    folder = ended_session(service)
    path = f"/v1/sessions/{folder.id}"
    answers = run(
        service,
        ("PATCH", path, {"json": {"set": {"mix.gain_db": 0}}}),
        ("POST", f"{path}/transport", {"json": {"action": "play"}}),
        ("POST", f"{path}/record", {"json": {"on": True}}),
        ("GET", f"{path}/graph", {}),
        ("POST", f"{path}/undo", {}),
    )
    assert {answer.status_code for answer in answers} == {409} and all(map(is_error, answers))
    deleted, gone = run(service, ("DELETE", path, {}), ("GET", path, {}))
    assert (deleted.status_code, gone.status_code) == (204, 404) and not folder.path.exists()


def test_an_action_that_nobody_knows_is_named(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    path = f"/v1/sessions/{ended_session(service).id}/transport"
    (answer,) = run(service, ("POST", path, {"json": {"action": "open"}}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unknown_action")


# -- files and takes --------------------------------------------------------------------------------------------


def test_a_file_goes_in_and_is_listed_under_its_users_name(tmp_path: Path) -> None:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(22_050), 22_050, format="WAV")
    service = service_in(tmp_path)
    made, listed = run(
        service, ("POST", "/v1/files?name=..%2F%3Cb%3E.wav", {"content": out.getvalue()}), ("GET", "/v1/files", {})
    )
    assert made.status_code == 201 and made.json()["name"] == "../<b>.wav"
    assert listed.json() == [made.json()]
    deleted, again = run(service, *[("DELETE", f"/v1/files/{made.json()['id']}", {})] * 2)
    assert (deleted.status_code, again.status_code) == (204, 404)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"\0" * 100_000

    service = service_in(tmp_path)
    stated, counted = run(
        service, ("POST", "/v1/files", {"content": b"\0" * 3_000_000}), ("POST", "/v1/files", {"content": endless()})
    )
    assert (stated.status_code, counted.status_code) == (413, 413)
    assert list((tmp_path / "state" / "files").iterdir()) == []


def test_a_body_that_is_too_large_or_no_json_is_refused(tmp_path: Path) -> None:
    kind = {"Content-Type": "application/json"}
    answers = run(
        service_in(tmp_path),
        ("POST", "/v1/sessions", {"content": b" " * 1_100_000, "headers": kind}),
        ("POST", "/v1/sessions", {"content": b"{", "headers": kind}),
        ("POST", "/v1/sessions", {"content": b"\xff\xfe", "headers": kind}),
        ("POST", "/v1/sessions", {"content": b"[" * 100_000, "headers": kind}),
    )
    assert [answer.status_code for answer in answers] == [413, 422, 422, 422] and all(map(is_error, answers))


def test_a_track_is_sent_whole_or_in_parts(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    folder = ended_session(service)
    content = take_in(folder)
    path = f"/v1/sessions/{folder.id}/takes"
    track = f"{path}/{NUMBER}/tracks/{track_id('vocals.wav')}"
    listed, whole, part, beyond = run(
        service,
        ("GET", path, {}),
        ("GET", track, {}),
        ("GET", track, {"headers": {"Range": "bytes=100-199"}}),
        ("GET", track, {"headers": {"Range": "bytes=99999999-"}}),
    )
    (take,) = listed.json()
    assert (take["id"], take["seconds"], take["tracks"][0]["name"]) == (NUMBER, 0.1, "vocals")
    assert whole.content == content and whole.headers["content-type"] == "audio/wav"
    assert part.status_code == 206 and part.content == content[100:200] and beyond.status_code == 416
    deleted, gone = run(service, ("DELETE", f"{path}/{NUMBER}", {}), ("GET", track, {}))
    assert (deleted.status_code, gone.status_code) == (204, 404)


def test_a_take_of_another_session_is_not_found(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    mine, other = ended_session(service), ended_session(service)
    take_in(other)
    (answer,) = run(service, ("GET", f"/v1/sessions/{mine.id}/takes/{NUMBER}/tracks/{track_id('vocals.wav')}", {}))
    assert answer.status_code == 404


def test_a_track_that_a_damaged_sidecar_puts_elsewhere_is_not_sent(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    folder = ended_session(service)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (folder.takes / NUMBER).mkdir()
    info = {"file": "../../../../secret.wav", "rate": 48_000, "base_position": 0, "finished": True}
    (folder.takes / NUMBER / "take.json").write_text(json.dumps({"version": 2, "tracks": {"x": info}}))
    number = track_id(str(info["file"]))
    (answer,) = run(service, ("GET", f"/v1/sessions/{folder.id}/takes/{NUMBER}/tracks/{number}", {}))
    assert answer.status_code == 404


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_leads_out_of_the_service(tmp_path: Path, trick: str) -> None:
    service = service_in(tmp_path)
    folder = ended_session(service)
    before = sorted(path for path in tmp_path.rglob("*") if "cookies" not in str(path))
    answers = run(
        service,
        ("GET", f"/v1/sessions/{trick}", {}),
        ("DELETE", f"/v1/sessions/{trick}", {}),
        ("DELETE", f"/v1/files/{trick}", {}),
        ("GET", f"/v1/sessions/{folder.id}/takes/{trick}/tracks/{trick}", {}),
        ("DELETE", f"/v1/sessions/{folder.id}/takes/{trick}", {}),
        ("GET", f"/console/{trick}", {}),
        ("GET", f"/{trick}", {}),
        ("GET", f"//{trick}", {}),
    )
    assert {answer.status_code for answer in answers} <= {404, 405}
    assert sorted(path for path in tmp_path.rglob("*") if "cookies" not in str(path)) == before


# -- the host ---------------------------------------------------------------------------------------------------


def test_the_host_says_what_it_has_and_who_uses_it(tmp_path: Path) -> None:
    (answer,) = run(service_in(tmp_path), ("GET", "/v1/host", {}))
    host = answer.json()
    assert host["cpus"] >= 1 and host["cores"] == {"capacity": 1000.0, "reserved": 0.0}
    assert host["memory"]["total_mb"] > host["memory"]["used_mb"] > 0


def test_metrics_name_no_session(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    folder = ended_session(service)
    (answer,) = run(service, ("GET", "/metrics", {}), role="listen")
    line = 'audio_pipeline_service_sessions{config="karaoke_browser",state="ended"} 1.0'
    assert line in answer.text and folder.id not in answer.text


def test_it_is_not_ready_before_the_media_process_listens(tmp_path: Path) -> None:
    service = service_in(tmp_path)
    (before,) = run(service, ("GET", "/readyz", {}))
    service.options.media_socket.touch()
    (after,) = run(service, ("GET", "/readyz", {}))
    assert (before.status_code, after.status_code) == (503, 200)
    assert before.json()["reasons"] == ["the media process does not listen"]


def test_every_answer_carries_the_headers_that_protect_it(tmp_path: Path) -> None:
    for answer in run(service_in(tmp_path), ("GET", "/v1/me", {}), ("GET", "/nowhere", {}), ("PUT", "/v1/me", {})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store" and "server" not in answer.headers
