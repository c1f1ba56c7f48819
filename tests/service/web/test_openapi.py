"""The OpenAPI document is true: whatever it allows or forbids is answered as it states, and never by a fault."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from audio_pipeline.service.budget import Cost
from audio_pipeline.service.web.app import make_app
from audio_pipeline.service.web.openapi import document
from audio_pipeline.service.web.table import ROUTES
from tests.service.web.serving import ORIGIN, alive, service_in

if sys.version_info < (3, 11):
    pytest.skip("schemathesis needs Python 3.11", allow_module_level=True)

import schemathesis
from schemathesis.checks import CHECKS  # the registry is filled by loading them
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

NAMES = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
SCHEMA = schemathesis.openapi.from_dict(document(ROUTES, "0"))
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
NOT_SENT = ("cookie", "authorization", "host", "origin", "sec-fetch-site", "content-length", "transfer-encoding")


class Application:
    """One application and one event loop for a whole test."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        service = service_in(folder, limit=Cost(1.0, 1e6))
        self.key = service.keys.new("robot", "control")
        self._app = make_app(service, {})
        self._alive = alive(self._app)
        self.loop.run_until_complete(self._alive.__aenter__())
        self._sent = 0

    def ask(self, method: str, path: str, arguments: dict[str, Any]) -> httpx.Response:
        """From another address now and then: rates are another test's."""
        self._sent += 1
        address = (f"127.0.0.{1 + self._sent % 200}", 1)
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=address)
        headers = {name: value for name, value in arguments.pop("headers").items() if name.lower() not in NOT_SENT}
        arguments["headers"] = {**headers, "Authorization": f"Bearer {self.key}"}

        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, path, **arguments)

        return self.loop.run_until_complete(go())

    def close(self) -> None:
        self.loop.run_until_complete(self._alive.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    found = Application(tmp_path_factory.mktemp("service"))
    yield found
    found.close()


def allowed_and_forbidden() -> list[Any]:
    """Each operation with what it allows, and with what it forbids where it takes anything at all."""
    found = []
    for operation in OPERATIONS:
        name = f"{operation.method} {operation.path}"
        found.append(pytest.param(operation, GenerationMode.POSITIVE, id=f"{name}, allowed"))
        route = next(each for each in ROUTES if (each.method, each.path) == (operation.method.upper(), operation.path))
        if route.body is not None or route.takes or "{" in route.path:
            found.append(pytest.param(operation, GenerationMode.NEGATIVE, id=f"{name}, forbidden"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "mode"), allowed_and_forbidden())
def test_every_operation_answers_as_it_states(application: Application, operation: Any, mode: GenerationMode) -> None:
    checks = CHECKS.get_by_names(list(NAMES))

    @settings(max_examples=5, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        arguments = case.as_transport_kwargs(base_url=ORIGIN)
        url, method = arguments.pop("url"), arguments.pop("method")
        arguments.pop("cookies", None)
        if "data" in arguments:
            arguments["content"] = arguments.pop("data")
        answer = application.ask(method, url, arguments)
        assert answer.status_code != 500, answer.text
        case.validate_response(Response.from_any(answer), checks=checks)

    run()


def test_the_document_is_the_one_that_is_served(application: Application) -> None:
    answer = application.ask("GET", "/v1/openapi.json", {"headers": {}})
    assert answer.json()["openapi"] == "3.1.0" and answer.json()["paths"].keys() == {route.path for route in ROUTES}
