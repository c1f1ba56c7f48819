"""Print how the parts of the code depend on each other: numbers to compare from one change to the next.

Per 1,000 lines, for the engine and for everything: reads that reach through other objects (`self.run.plan.links`),
maps without a type (`dict[str, Any]`), and functions whose name is not a term of the field. Then import cycles (imports
for type checking count) and long files. `scripts/structure.py FOLDER` looks at another checkout.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from size import LONG_FILE_LINES, code_lines

PACKAGE = "audio_pipeline"
OUTSIDE_ENGINE = ("cli", "doctor", "dsp", "report", "nodes", "models")  # folders of the package
LONG_CHAIN = 3  # dots
LARGE_CYCLE = 3  # files
WORDS = (
    "attendant bury farewell glance hear heard hears look looks made_up nursery obey room rooms said say saying says "
    "speak speaks tell tells told word words"
).split()
WORD = re.compile(rf"(?:^|_)(?:{'|'.join(WORDS)})(?:_|$)")
OTHERS_NAMES = ("say", "tell")  # the command `say`; the method of every file


@dataclass(frozen=True)
class Source:
    """One file: its module name, its text and its syntax tree."""

    path: Path
    module: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())


@dataclass
class Figures:
    """What is counted of a part of the code."""

    lines: int = 0
    chains: list[str] = field(default_factory=list)
    maps: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, source: Source) -> None:
        self.lines += source.lines
        self.chains += chains(source.tree)
        self.maps += sum(map(is_untyped_map, ast.walk(source.tree)))
        self.names += names_of_the_list(source.tree)


def sources(root: Path) -> Iterator[Source]:
    """Every file of the package; nodes and models are reached through its symlinks."""
    for path in sorted((root / PACKAGE).rglob("*.py")) + sorted(_linked(root / PACKAGE)):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield Source(path.relative_to(root), module, text, ast.parse(text))


def _linked(package: Path) -> Iterator[Path]:
    """`rglob` follows no symlinks."""
    for folder in package.iterdir():
        if folder.is_symlink():
            yield from (folder / path.relative_to(folder.resolve()) for path in folder.resolve().rglob("*.py"))


def chains(tree: ast.AST) -> list[str]:
    """Longest reads of attributes that start at `self` and have at least three dots.

    >>> chains(ast.parse("self.a.b.c(self.a.b, other.a.b.c, self.a.b().c.d)"))
    ['self.a.b.c']
    """
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = [_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in inner]
    return [text for text in found if text.startswith("self.") and text.count(".") >= LONG_CHAIN]


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return node.id if isinstance(node, ast.Name) else ""


def is_untyped_map(node: ast.AST) -> bool:
    """True for `dict[str, Any]` and `Mapping[str, Any]`, also within another annotation."""
    return isinstance(node, ast.Subscript) and ast.unparse(node) in ("dict[str, Any]", "Mapping[str, Any]")


def names_of_the_list(tree: ast.AST) -> list[str]:
    """Functions called `hear`, `tell_all`, `on_said` and the like.

    >>> names_of_the_list(ast.parse("def tell_all(): ...\\ndef foretell(): ..."))
    ['tell_all']
    """
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [function.name for function in functions if WORD.search(function.name) and function.name not in OTHERS_NAMES]


# -- imports ----------------------------------------------------------------------------------------


def imports(source: Source, known: Iterable[str]) -> set[str]:
    """The modules of the package that a file names in an import statement, wherever in the file that stands."""
    modules = set(known)
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                inner if (inner := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names
            }
    return (found & modules) - {source.module}


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which can be reached from each other one, largest first.

    >>> cycles({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": set()})
    [['a', 'b']]
    """
    reach = {module: _reached(graph, module) for module in graph}
    found = {frozenset({module} | {other for other in reach[module] if module in reach[other]}) for module in graph}
    return sorted((sorted(group) for group in found if len(group) > 1), key=lambda group: (-len(group), group))


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += graph[module]
    return seen


# -- the report --------------------------------------------------------------------------------------


def main(root: Path) -> None:
    """Print a table and three lists."""
    found = list(sources(root))
    engine, everything = Figures(), Figures()
    for source in found:
        everything.add(source)
        if source.path.parts[1] not in OUTSIDE_ENGINE:
            engine.add(source)
    print("part        lines   chains        dicts         names of the list")
    for name, part in {"engine": engine, "all": everything}.items():
        columns = "".join(_column(count, part.lines) for count in (len(part.chains), part.maps, len(part.names)))
        print(f"{name:8} {part.lines:8}   {columns}".rstrip())
    names = [source.module for source in found]
    groups = cycles({source.module: imports(source, names) for source in found})
    large = [group for group in groups if len(group) >= LARGE_CYCLE]
    print(f"import cycles: {len(groups)}, of {LARGE_CYCLE} files and more: {len(large)}")
    for group in groups:
        print(f"  {len(group)} files: {', '.join(module.removeprefix(f'{PACKAGE}.') for module in group)}")
    long_files = sorted(((code_lines(root / source.path), source.path) for source in found), reverse=True)
    long_files = [(lines, path) for lines, path in long_files if lines > LONG_FILE_LINES]
    print(f"files over {LONG_FILE_LINES} lines without their tables: {len(long_files)}")
    for lines, path in long_files:
        print(f"  {lines} {path}")


def _column(count: int, lines: int) -> str:
    return f"{count:4} ({count * 1000 / max(lines, 1):4.1f})   "


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
