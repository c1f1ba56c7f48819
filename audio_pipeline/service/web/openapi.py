"""The OpenAPI 3.1 document, made from the route table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from audio_pipeline.service.web.call import Route
from audio_pipeline.service.web.messages import Error

REF = "#/components/schemas/{name}"
PARAMETER = re.compile(r"\{(\w+)\}")
EVERYWHERE = (400, 403, 413, 421, 429)
WHERE_LOGGED_IN, WITH_BODY = (401,), (415, 422)
STATED = {
    200: "Done",
    201: "Made",
    204: "Done",
    206: "A part of it",
    304: "As it was",
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """As JSON values."""
    types = [kind for route in routes for kind in (route.body, route.reply) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Error], ref_template=REF)
    known = {repr(kind): schema for kind, schema in zip([*types, Error], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "audio-pipeline", "version": version, "license": {"name": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "login": {"type": "apiKey", "in": "cookie", "name": "audio_pipeline"},
            },
        },
    }


def _operation(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2].removesuffix('_api')}_{route.handler.__name__}",
        "summary": route.about,
        "description": f"{(route.handler.__doc__ or '').strip()} Role: {route.role or 'none'}.",
        "parameters": _parameters(route),
        "responses": _responses(route, known),
    }
    if route.role is not None:
        operation["security"] = [{"key": []}, {"login": []}]
    if route.body is not None:
        operation["requestBody"] = _content("application/json", known[repr(route.body)], required=True)
    elif route.takes:
        operation["requestBody"] = _content(route.takes, {"type": "string", "format": "binary"}, required=True)
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    text = {"type": "string"}
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {**text, "pattern": "^[0-9a-f]{16}$"}}
        for name in PARAMETER.findall(route.path)
    ]
    return in_path + [{"name": name, "in": "query", "schema": text} for name in route.query]


def _responses(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {str(route.status): _reply(route, known)}
    if 206 in route.refusals:
        found["206"] = _reply(route, known) | {"description": STATED[206]}
    if 304 in route.refusals:
        found["304"] = {"description": STATED[304]}
    if route.path == "/readyz":
        found["503"] = _reply(route, known) | {"description": "No, and why not"}
    for status in statuses(route):
        found.setdefault(str(status), _content("application/json", known[repr(Error)], description="An error"))
    return found


def statuses(route: Route) -> list[int]:
    """Of the errors that it may answer with."""
    found = {*EVERYWHERE, *(status for status in route.refusals if status >= 400), 503}
    found |= set(WHERE_LOGGED_IN) if route.role is not None or route.path == "/v1/login" else set()
    return sorted(found | (set(WITH_BODY) if route.body is not None or route.takes else set()))


def _reply(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    about = STATED[route.status]
    if route.reply is not None:
        return _content("application/json", known[repr(route.reply)], description=about)
    if route.gives:
        return _content(route.gives, {"type": "string"}, description=about)
    return {"description": about}


def _content(kind: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {**more, "content": {kind: {"schema": schema}}}
