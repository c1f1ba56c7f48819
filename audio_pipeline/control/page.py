"""The tables in `docs/protocol.md` that are made from types: `python -m audio_pipeline.control.page --write`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audio_pipeline.control.events import TYPES, Event
from audio_pipeline.control.operations import OPERATIONS, Operation
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.graph_changes import CHANGES, GraphChange
from audio_pipeline.links.messages import MESSAGES, LinkMessage
from audio_pipeline.private_file import write_whole
from audio_pipeline.settings import key_of, rule_of

SECTIONS = {Description: "[description](#description)", Meters: "[meters](#meters)", Ledger: "[ledger](#ledger)"}
PAGE = Path("docs/protocol.md")


def operations() -> str:
    """The operations as a Markdown table."""
    head = ["| op | role | what | arguments | result |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_row, OPERATIONS.values())])


def _row(row: Operation) -> str:
    what = (row.request.__doc__ or "").strip()
    arguments = "; ".join(map(_argument, dataclasses.fields(row.request)))  # type: ignore[arg-type]
    return f"| `{row.name}` | {row.role or '-'} | {what} | {arguments} | {_result(row)} |"


def _argument(field: dataclasses.Field[Any]) -> str:
    doc = rule_of(field).doc
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    name = f"`{key_of(field)}`" if required else f"`{key_of(field)}` ({_default(field.default)})"
    return f"{name}: {doc}" if doc else name


def _default(value: Any) -> str:
    return "nil" if value is None else f"{value!r}"


def _result(row: Operation) -> str:
    if row.reply in SECTIONS:
        return f"the {SECTIONS[row.reply]}"
    fields = dataclasses.fields(row.reply)
    return (
        "; ".join(f"`{field.name}`" + (f": {doc}" if (doc := rule_of(field).doc) else "") for field in fields) or "`{}`"
    )


def events() -> str:
    """The types of events as a Markdown table."""
    head = ["| kind | what | keys |", "| --- | --- | --- |"]
    return "\n".join([*head, *map(_event_row, TYPES)])


def _event_row(event: type[Event]) -> str:
    fields = {field.name: field for field in dataclasses.fields(event)}
    kind = fields.pop("kind")
    about = "; ".join(_argument(fields[name]) for name in fields if name != "time_s")
    kinds = ", ".join(f"`{choice}`" for choice in rule_of(kind).choices or ()) or rule_of(kind).doc
    return f"| {kinds} | {(event.__doc__ or '').strip()} | {about} |"


def link_messages() -> str:
    """The messages of links and feeds as a Markdown table."""
    head = ["| t | from | what | keys |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_link_row, MESSAGES.values())])


def _link_row(message: type[LinkMessage]) -> str:
    own = [field for field in dataclasses.fields(message) if field.name != "stream"]
    keys = "; ".join(map(_argument, own))
    return f"| `{message.KIND}` | {message.SENDER} | {(message.__doc__ or '').strip()} | {keys} |"


def changes() -> str:
    """The changes of a graph as a Markdown table."""
    return "\n".join(["| op | keys | effect |", "| --- | --- | --- |", *map(_change_row, CHANGES.values())])


def _change_row(change: type[GraphChange]) -> str:
    own = [field for field in dataclasses.fields(change) if field.name != "op"]
    op = next(field.default for field in dataclasses.fields(change) if field.name == "op")
    return f"| `{op}` | {'; '.join(map(_argument, own))} | {(change.__doc__ or '').strip()} |"


TABLES: Mapping[str, Callable[[], str]] = {
    "operations": operations,
    "changes": changes,
    "events": events,
    "link messages": link_messages,
}


def with_tables(page: str) -> str:
    """The page with each table between its marks."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: generated -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{table()}\n{end}{rest.partition(end)[2]}"
    return page


def main() -> int:
    """Writes the tables, or says whether they are up to date."""
    page = PAGE.read_text(encoding="utf-8")
    if "--write" in sys.argv[1:]:
        write_whole(PAGE, with_tables(page))
        return 0
    return int(page != with_tables(page))


if __name__ == "__main__":
    sys.exit(main())
