"""Errors as clients get them: `{"error": {"message", "code", "where"}}`, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from audio_pipeline.errors import ConfigError, ControlError, MediaError, PipelineError
from audio_pipeline.service.budget import ShortageError

RETRY_S = 10
CODES = {
    400: "bad_request",
    401: "login",
    403: "forbidden",
    404: "not_found",
    405: "method",
    409: "conflict",
    411: "length",
    413: "too_large",
    415: "type",
    416: "range",
    422: "invalid",
    429: "too_many",
    500: "internal",
    503: "unavailable",
}


class ApiError(Exception):
    """A refusal with its status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        where: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.where = status, message, where
        self.code, self.headers, self.more = code or CODES.get(status, "error"), dict(headers or {}), more

    @property
    def response(self) -> Response:
        """What is sent."""
        body = {"message": self.message, "code": self.code, "where": self.where, **self.more}
        return JSONResponse({"error": body}, self.status, self.headers)


def not_found(what: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"there is no such {what}")


def api_error(error: PipelineError) -> ApiError:
    """A failure of the pipeline, or of what was asked of it."""
    if isinstance(error, ShortageError):
        headers = {"Retry-After": str(RETRY_S)}
        short: dict[str, Any] = {"what": error.what, "need": error.need, "free": error.free}
        return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), code="capacity", headers=headers, **short)
    if isinstance(error, ConfigError):
        where = str(error).partition(":")[0] if ": " in str(error) else ""
        return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), where=where)
    if isinstance(error, MediaError):
        return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), code="media")
    if isinstance(error, ControlError):
        return ApiError(HTTPStatus.CONFLICT, str(error), code="refused")
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
