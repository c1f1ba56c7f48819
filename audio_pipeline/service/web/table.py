"""The route table. The server's routes, the OpenAPI document and the page of the API are made from it."""

from __future__ import annotations

from audio_pipeline.service.takes import TakeEntry
from audio_pipeline.service.uploads import Upload
from audio_pipeline.service.web import files_api, graph_api, host_api, login_api, messages, sessions_api, takes_api
from audio_pipeline.service.web.call import Route

SESSION = "/v1/sessions/{id}"
LISTEN, PLAY, CONTROL = "listen", "play", "control"
JSON, BYTES, WAV, TEXT = "application/json", "application/octet-stream", "audio/wav", "text/plain"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/login", login_api.login, None, "Log in", messages.Login, status=204),
    Route("POST", "/v1/logout", login_api.logout, None, "Log out", status=204),
    Route("GET", "/v1/me", login_api.me, LISTEN, "Who is logged in", reply=messages.Me),
    Route("GET", "/v1/configs", files_api.configs, LISTEN, "Pipelines on offer", reply=list[messages.Config]),
    Route("GET", "/v1/files", files_api.files, LISTEN, "Uploaded files", reply=list[Upload]),
    Route(
        "POST",
        "/v1/files",
        files_api.upload,
        CONTROL,
        "Upload a sound file",
        takes=BYTES,
        reply=Upload,
        status=201,
        query=("name",),
        refusals=(507,),
    ),
    Route("DELETE", "/v1/files/{id}", files_api.delete, CONTROL, "Delete a file", status=204, refusals=(404,)),
    Route("GET", "/v1/sessions", sessions_api.sessions, LISTEN, "Sessions", reply=list[messages.SessionInfo]),
    Route(
        "POST",
        "/v1/sessions",
        sessions_api.create,
        CONTROL,
        "Start a session",
        messages.NewSession,
        messages.SessionInfo,
        201,
    ),
    Route(
        "GET",
        SESSION,
        sessions_api.session,
        LISTEN,
        "One session",
        reply=messages.SessionInfo,
        refusals=(304, 404),
    ),
    Route(
        "PATCH",
        SESSION,
        sessions_api.change,
        CONTROL,
        "Change live settings",
        messages.Changes,
        messages.Audible,
        refusals=(404, 409),
    ),
    Route("DELETE", SESSION, sessions_api.end, CONTROL, "End a session", status=204, refusals=(404,)),
    Route(
        "POST",
        f"{SESSION}/transport",
        sessions_api.transport,
        CONTROL,
        "Play, pause, seek",
        messages.TransportCommand,
        messages.TransportDone,
        refusals=(404, 409),
    ),
    Route(
        "POST",
        f"{SESSION}/record",
        takes_api.record,
        CONTROL,
        "Begin or end a take",
        messages.RecordCommand,
        messages.Recording,
        refusals=(404, 409),
    ),
    Route(
        "GET", f"{SESSION}/graph", graph_api.graph, LISTEN, "The graph", reply=messages.GraphInfo, refusals=(404, 409)
    ),
    Route(
        "POST",
        f"{SESSION}/graph",
        graph_api.edit,
        CONTROL,
        "Change the graph",
        messages.GraphChanges,
        messages.Edited,
        refusals=(404, 409),
    ),
    Route("POST", f"{SESSION}/undo", graph_api.undo, CONTROL, "Undo", reply=messages.Edited, refusals=(404, 409)),
    Route("POST", f"{SESSION}/redo", graph_api.redo, CONTROL, "Redo", reply=messages.Edited, refusals=(404, 409)),
    Route("GET", f"{SESSION}/takes", takes_api.list_takes, LISTEN, "Takes", reply=list[TakeEntry], refusals=(404,)),
    Route(
        "GET",
        f"{SESSION}/takes/{{take}}/tracks/{{track}}",
        takes_api.track,
        LISTEN,
        "One track of a take",
        gives=WAV,
        refusals=(206, 404, 416),
    ),
    Route(
        "DELETE", f"{SESSION}/takes/{{take}}", takes_api.delete, CONTROL, "Delete a take", status=204, refusals=(404,)
    ),
    Route("GET", "/v1/host", host_api.host, CONTROL, "The host", reply=messages.HostInfo),
    Route("POST", "/v1/drain", host_api.drain, CONTROL, "Accept no further session", reply=messages.Ready),
    Route("GET", "/healthz", host_api.healthz, None, "Is it alive", gives=TEXT),
    Route("GET", "/readyz", host_api.readyz, None, "Could a session be started", reply=messages.Ready),
    Route("GET", "/metrics", host_api.metrics, LISTEN, "Metrics for Prometheus", gives=TEXT),
)
