"""Print how large the code is: a number that people see, so that it stays small."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"engine": "audio_pipeline", "nodes": "nodes", "models": "models", "tests": "tests"}
LONG_FILE_LINES = 250  # without tables of data
TABLE_LINES = 8  # an assignment of a literal this long is a table


def sources(folder: Path) -> Iterator[Path]:
    """Python files below `folder`; the symlinks to the top-level folders are not followed."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from sources(path)
        elif path.suffix == ".py":
            yield path


def function_lengths(path: Path) -> list[int]:
    """Lines of every function body, the signature, docstring and decorators left out."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [_body_lines(function) for function in functions]


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1 if body else 0


def code_lines(path: Path) -> int:
    """Lines of a file without its tables: dictionaries, lists and texts that a module assigns to a name."""
    text = path.read_text(encoding="utf-8")
    tables = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and not isinstance(node.value, ast.Lambda)
    ]
    return len(text.splitlines()) - sum(lines for lines in tables if lines >= TABLE_LINES)


def main() -> None:
    """Print a row a part of the project, then the files that have grown too long."""
    long_files: list[tuple[int, Path]] = []
    print("part     files  lines  median file  median function  90 % below")
    for part, folder in PARTS.items():
        files = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(ROOT / folder)}
        lengths = [length for path in files for length in function_lengths(path)] or [0]
        tail = quantiles(lengths, n=10)[-1] if len(lengths) > 1 else lengths[0]
        filled = [lines for lines in files.values() if lines] or [0]
        print(
            f"{part:8} {len(files):5} {sum(files.values()):6} {median(filled):12.0f}"
            f" {median(lengths):16.0f} {tail:11.0f}"
        )
        long_files += [(lines, path) for path in files if (lines := code_lines(path)) > LONG_FILE_LINES]
    for lines, path in sorted(long_files, reverse=True):
        print(f"over {LONG_FILE_LINES} lines: {path.relative_to(ROOT)} has {lines}")


if __name__ == "__main__":
    main()
