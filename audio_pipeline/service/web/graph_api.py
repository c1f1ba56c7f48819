"""The graph of a session: shown and changed while it plays."""

from __future__ import annotations

from audio_pipeline.control.replies import EditReply
from audio_pipeline.service.graph_text import checked_changes, shown_graph
from audio_pipeline.service.web.call import Call
from audio_pipeline.service.web.messages import Edited, GraphChanges, GraphInfo
from audio_pipeline.service.web.sessions_api import client_of


async def graph(call: Call) -> GraphInfo:
    """The graph as a file would state it; files are shown by id."""
    found = await client_of(call).graph()
    shown = shown_graph(found.graph, call.service.uploads)
    return GraphInfo(found.revision, shown, found.can_undo, found.can_redo, found.changing)


async def edit(call: Call) -> Edited:
    """Changes the graph, all or nothing; answered when the change plays."""
    client = client_of(call)
    body: GraphChanges = call.body
    changes = checked_changes(body.changes, call.service.uploads)
    return _edited(await client.edit(changes, body.revision))


async def undo(call: Call) -> Edited:
    """Takes the last change of the graph back."""
    return _edited(await client_of(call).undo())


async def redo(call: Call) -> Edited:
    """Makes a change that was taken back again."""
    return _edited(await client_of(call).redo())


def _edited(reply: EditReply) -> Edited:
    return Edited(reply.revision, list(reply.added), list(reply.removed), list(reply.touched))
