"""What every test shares: its part, how much of a long proof is run, and what a busy machine excuses."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from audio_pipeline import threads
from tests.machine import Watched
from tests.proof_table import ProofTable

# programs of their own, which need atheris, coqui-tts
collect_ignore = ["fuzz/guided.py", "proofs/coqui_small.py"]

WATCHED = pytest.StashKey[Watched]()
OTHERS_MAY = 0.15  # of all cores; above it a test in real time measures the others

# Two shared cores stall for longer than any limit on an example or on its making that would still mean something.
UNHURRIED = hypothesis.settings(deadline=None, max_examples=50, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("default", UNHURRIED)
hypothesis.settings.register_profile("ci", UNHURRIED, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --proof-scale, --proof-table and --excuse-busy."""
    parser.addoption("--proof-scale", type=float, default=1.0, help="share of a long proof to run")
    parser.addoption("--proof-table", type=Path, help="write what the proofs print into this Markdown file")
    parser.addoption("--excuse-busy", action="store_true", help="skip what failed while others had the machine")


def _fail_the_test(error: BaseException) -> None:
    """In place of the end of the process, which would be that of all tests: pytest reports what a thread raises."""
    raise error


def pytest_configure(config: pytest.Config) -> None:
    """Watch the proofs where a table is wanted."""
    threads.end_process = _fail_the_test
    path = config.getoption("--proof-table")
    if path:
        config.pluginmanager.register(ProofTable(path, config.getoption("--proof-scale")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/scenarios runs in real time, and whole programs in tests/environments."""
    for item in items:
        if {"scenarios", "environments"} & set(item.path.parts) and "long" not in item.keywords:
            item.add_marker(pytest.mark.live)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Says of each failure in real time how much of the machine others had; with --excuse-busy it may be skipped."""
    report: pytest.TestReport = yield
    if call.when == "setup":
        item.stash[WATCHED] = Watched()
    if report.failed and {"live", "proof"} & set(item.keywords) and WATCHED in item.stash:
        others = item.stash[WATCHED].others()
        report.sections.append(("the machine", f"others had {others:.0%} of it during this test"))
        if others > OTHERS_MAY and item.config.getoption("--excuse-busy"):
            reason = f"not judged: it failed while others had {others:.0%} of the machine"
            report.outcome, report.longrepr = "skipped", (str(item.path), 0, reason)
    return report


@pytest.fixture(scope="session")
def proof_scale(pytestconfig: pytest.Config) -> float:
    """Factor in (0, 1] for the duration or the count of a test marked `proof`."""
    scale: float = pytestconfig.getoption("--proof-scale")
    if not 0 < scale <= 1:
        raise pytest.UsageError(f"--proof-scale: expected a share above 0 and up to 1, got {scale}")
    return scale
