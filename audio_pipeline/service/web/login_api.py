"""Login, logout, who am I."""

from __future__ import annotations

from http import HTTPStatus

from audio_pipeline.service.access import COOKIE_S
from audio_pipeline.service.web.call import Call, Given
from audio_pipeline.service.web.errors import ApiError
from audio_pipeline.service.web.identify import cookie_of, set_cookie
from audio_pipeline.service.web.messages import Login, Me


async def login(call: Call) -> Given:
    """Trades the token of a login link for a cookie; the token is used up."""
    body: Login = call.body
    identity = call.service.logins.redeem(body.token)
    if identity is None:
        said = "this link is not valid (any more): each works once; `audio-pipeline serve --link` prints a new one"
        raise ApiError(HTTPStatus.UNAUTHORIZED, said, where="token")
    secret = call.service.cookies.issue(identity, COOKIE_S)
    return Given(None, {"Set-Cookie": set_cookie(call.service, secret)})


async def logout(call: Call) -> Given:
    """Ends the login of this browser."""
    call.service.cookies.revoke(cookie_of(call.service, call.request.scope["headers"]))
    return Given(None, {"Set-Cookie": set_cookie(call.service, "", 0)})


async def me(call: Call) -> Me:
    """Who is logged in, and with which role."""
    return Me(call.identity.name, call.identity.role)
