"""Who makes a request: by an API key in `Authorization`, or by the cookie of a login."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from audio_pipeline.errors import KeysError
from audio_pipeline.keys import may
from audio_pipeline.service.access import COOKIE_S, Identity
from audio_pipeline.service.web.errors import ApiError
from audio_pipeline.service.web.state import Service

Headers = Iterable[tuple[bytes, bytes]]


def cookie_name(service: Service) -> str:
    """Cookies know no ports: services on several ports of a host each need a name."""
    return f"audio_pipeline_{service.options.port}"


def cookie_of(service: Service, headers: Headers) -> str:
    """The secret in the login cookie; empty where there is none."""
    for name, value in headers:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(cookie_name(service))
            except CookieError:
                continue
            if found is not None:
                return found.value
    return ""


def set_cookie(service: Service, secret: str, lasts_s: float = COOKIE_S) -> str:
    """The value of `Set-Cookie`."""
    secure = "; Secure" if service.origins.is_secure else ""
    return f"{cookie_name(service)}={secret}; Max-Age={int(lasts_s)}; Path=/; HttpOnly; SameSite=Strict{secure}"


def identity_of(service: Service, headers: Headers) -> Identity | None:
    """None for nobody. Raises ApiError where the keys cannot be read."""
    headers = list(headers)
    given = next((value.decode("latin-1") for name, value in headers if name == b"authorization"), None)
    if given is None:
        return service.cookies.identity(cookie_of(service, headers))
    scheme, _, secret = given.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return service.keys.identity(secret.strip())
    except KeysError as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


def allowed(service: Service, headers: Headers, role: str) -> Identity:
    """Whoever asks, if they may. Raises ApiError."""
    identity = identity_of(service, headers)
    if identity is None:
        challenge = {"WWW-Authenticate": "Bearer"}
        raise ApiError(
            HTTPStatus.UNAUTHORIZED, "log in first: open the link that the service printed", headers=challenge
        )
    if not may(identity.role, role):
        said = f"{identity.name!r} has the role {identity.role!r}, which does not allow this; it needs {role!r}"
        raise ApiError(HTTPStatus.FORBIDDEN, said)
    return identity
