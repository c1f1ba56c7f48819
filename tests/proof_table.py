"""Collects what the proofs print and writes it as one table: `--proof-table FILE`, as `make prove` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.host.machine import machine


class ProofTable:
    """A row a proof: what it printed, how long it took, how it ended."""

    def __init__(self, path: Path, scale: float) -> None:
        self._path, self._scale = path, scale
        self._rows: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes the end of a proof."""
        if report.when == "call" and "proof" in report.keywords:
            file, _, name = report.nodeid.rpartition("/")[2].partition("::")
            said = "<br>".join(line.replace("|", "\\|") for line in report.capstdout.splitlines() if line.strip())
            what = name.removeprefix("test_").replace("_", " ")
            self._rows.append(f"| {what} | `{file}` | {report.outcome} in {report.duration:.0f} s | {said} |")

    def pytest_sessionfinish(self) -> None:
        """Writes the file."""
        about = "; ".join(f"{name}: {value}" for name, value in machine().items())
        head = ["# Proofs", "", f"Written by `make prove`, at {self._scale:g} of their whole length. {about}.", ""]
        table = ["| what | file | outcome | printed |", "| --- | --- | --- | --- |", *self._rows]
        self._path.write_text("\n".join([*head, *table, ""]), encoding="utf-8")
