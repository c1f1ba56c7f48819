"""The table of the REST API in `docs/service.md`: `python -m audio_pipeline.service.web.page --write`."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

import msgspec

from audio_pipeline.private_file import write_whole
from audio_pipeline.service.web.call import Route
from audio_pipeline.service.web.table import ROUTES

PAGE = Path("docs/service.md")
BEGIN, END = "<!-- api: generated -->", "<!-- end of api -->"


def table() -> str:
    """Every route as a row of a Markdown table."""
    head = ["| request | role | what | body | reply |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_row, ROUTES)])


def _row(route: Route) -> str:
    query = f"?{'&'.join(f'{name}=...' for name in route.query)}" if route.query else ""
    what = " ".join((route.handler.__doc__ or "").split())
    reply = _fields(route.reply) if route.reply is not None else route.gives or "-"
    body = _fields(route.body) if route.body is not None else route.takes or "-"
    return f"| `{route.method} {route.path}{query}` | {route.role or '-'} | {what} | {body} | {route.status}: {reply} |"


def _fields(kind: Any) -> str:
    if typing.get_origin(kind) is list:
        return f"list of {_fields(typing.get_args(kind)[0])}"
    found = msgspec.inspect.type_info(kind)
    assert isinstance(found, (msgspec.inspect.StructType, msgspec.inspect.DataclassType))
    return ", ".join(f"`{field.encode_name}`{'' if field.required else '?'}" for field in found.fields)


def with_table(page: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Writes the table, or says whether it is up to date."""
    page = PAGE.read_text(encoding="utf-8")
    if "--write" in sys.argv[1:]:
        write_whole(PAGE, with_table(page))
        return 0
    return int(page != with_table(page))


if __name__ == "__main__":
    sys.exit(main())
