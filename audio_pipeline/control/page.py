"""The table of operations as `docs/protocol.md` has it: `python -m audio_pipeline.control.page --write`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from audio_pipeline.control.operations import OPERATIONS, Operation
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.private_file import write_whole
from audio_pipeline.settings import rule_of

BEGIN, END = "<!-- operations: generated -->", "<!-- end of operations -->"
SECTIONS = {Description: "[description](#description)", Meters: "[meters](#meters)", Ledger: "[ledger](#ledger)"}
PAGE = Path("docs/protocol.md")


def table() -> str:
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
    name = f"`{field.name}`" if required else f"`{field.name}` ({_default(field.default)})"
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


def with_table(page: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Writes the page, or says whether it is up to date."""
    page = PAGE.read_text(encoding="utf-8")
    if "--write" in sys.argv[1:]:
        write_whole(PAGE, with_table(page))
        return 0
    return int(page != with_table(page))


if __name__ == "__main__":
    sys.exit(main())
