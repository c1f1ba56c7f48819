"""The search: it climbs, stops, goes on from a checkpoint as if never stopped, and ends at once when told to."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices.adam import State
from audio_pipeline.models.voices.checkpoint import NUMBERS, TENSORS, load_state, save_state
from tests.models.voices import Hill, reference, start
from tests.shared import shared

torch = pytest.importorskip("torch")

FOREVER = float("inf")


def search(state: State, hill: Hill, steps: int, until: float = FOREVER, **plan: int) -> list[tuple[int, float, float]]:
    from audio_pipeline.models.voices.refine import Plan, climb

    seen: list[tuple[int, float, float]] = []
    climb(hill, state, Plan(steps=steps, **plan), until, lambda *progress: seen.append(progress))  # type: ignore[arg-type]
    return seen


def hill() -> tuple[State, Hill]:
    rng = np.random.default_rng(0)
    begin, top = (0.2 * rng.standard_normal(128).astype(np.float32) for _ in range(2))
    return State.at(begin), Hill(top)


def test_it_climbs_and_tells_how_far() -> None:
    state, ground = hill()
    before = ground.check(state.point)
    seen = search(state, ground, 200)
    assert [step for step, _, _ in seen] == list(range(1, len(seen) + 1))
    assert state.best_likeness == ground.check(state.best) > before + 0.3
    likenesses = [value for _, value, _ in seen]
    assert likenesses == sorted(likenesses)  # of the best so far


def test_the_same_seed_is_the_same_search_and_another_is_not() -> None:
    found = []
    for seed in (0, 0, 1):
        state, ground = hill()
        search(state, ground, 30, seed=seed)
        found.append(state.best)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_it_stops_when_nothing_gets_better() -> None:
    state, ground = hill()
    ground.check = lambda point: 0.5  # type: ignore[method-assign]
    search(state, ground, 1_000)
    assert ground.gradients == 80  # four checks of twenty steps
    assert state.best_step == 0


def test_time_that_is_over_leaves_the_start() -> None:
    state, ground = hill()
    ground.check = lambda point: pytest.fail("a check takes seconds that are not there")  # type: ignore[method-assign]
    search(state, ground, 1_000, until=0.0)
    assert ground.gradients == 0
    assert state.best_step == 0


def test_where_checks_are_slow_time_is_left_for_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds a check, one a step, a minute in all: the last check and the report, as long as one, fit in."""
    from audio_pipeline.models.voices import refine

    clock = [0.0]
    monkeypatch.setattr(refine, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    state, ground = hill()
    check, gradient = ground.check, ground.gradient

    def slow_check(point: np.ndarray) -> float:
        clock[0] += 10
        return check(point)

    def slow_gradient(point: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clock[0] += 1
        return gradient(point, rng)

    ground.check, ground.gradient = slow_check, slow_gradient  # type: ignore[method-assign]
    search(state, ground, 1_000, until=60.0)
    assert ground.gradients >= 20 and clock[0] <= 51


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    state, _ = hill()
    before = state.point.copy()
    state.descend(np.full(128, np.nan, np.float32), 0.1)
    assert np.array_equal(state.point, before)


@pytest.mark.parametrize("stop", [1, 20, 33])
def test_stopped_and_taken_up_again_it_is_as_if_never_stopped(tmp_path: Path, stop: int) -> None:
    whole, ground = hill()
    search(whole, ground, 60)
    part, _ = hill()
    from audio_pipeline.models.voices.refine import CHECK_EVERY

    for step in range(stop):  # as a cancel leaves it: no check at the end
        if step == 0:
            part.judge(ground.check(part.average))
        search_one(part, ground)
        if part.step % CHECK_EVERY == 0:
            part.judge(ground.check(part.average))
    save_state(tmp_path / "fit", reference(), start(), part)
    again = load_state(tmp_path / "fit", reference(), start())
    assert again is not None
    search(again, ground, 60)
    assert again.best == pytest.approx(whole.best, abs=1e-6)
    assert (again.step, again.best_step) == (whole.step, whole.best_step)


def search_one(state: State, ground: Hill) -> None:
    from audio_pipeline.models.voices.refine import RATE, RATE_FALLS

    rate = RATE / (1 + state.step / RATE_FALLS)
    state.descend(ground.gradient(state.point, np.random.default_rng([0, state.step])), rate)


def test_a_checkpoint_is_private_and_of_one_voice(tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    state, _ = hill()
    save_state(folder, reference(), start(), state)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {TENSORS: 0o600, NUMBERS: 0o600}
    assert load_state(folder, reference(1), start()) is None
    assert load_state(None, reference(), start()) is None
    assert load_state(tmp_path / "none", reference(), start()) is None


@pytest.mark.parametrize(("name", "damage"), [(TENSORS, b"x"), (NUMBERS, b"{"), (NUMBERS, b"[]"), (NUMBERS, b"{}")])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, name: str, damage: bytes) -> None:
    state, _ = hill()
    save_state(tmp_path, reference(), start(), state)
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(ConfigError, match="is damaged .* delete it to begin anew"):
        load_state(tmp_path, reference(), start())


@pytest.mark.parametrize("asks", [1, 2, 3, 4, 5])
def test_a_pass_ends_at_the_block_it_is_in_forwards_and_backwards(asks: int) -> None:
    """Two blocks: asked before, after each going forth, and at each coming back."""
    from audio_pipeline.models.speech.kokoro_torch_layers import StyledBlock
    from audio_pipeline.models.voices.interrupt import Cancelled, interruptible

    network = torch.nn.ModuleList([StyledBlock(4, 4), StyledBlock(4, 4)]).requires_grad_(False)
    style = torch.randn(1, 128, requires_grad=True)
    asked = 0

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked == asks

    with pytest.raises(Cancelled), interruptible(network, enough):
        x = torch.randn(1, 4, 16)
        for block in network:
            x = block(x, style)
        x.sum().backward()
    assert asked == asks
    network[0](torch.randn(1, 4, 16), style)
    assert asked == asks  # nobody asks afterwards


@pytest.mark.parametrize("device", ["cuda", "tpu"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    from audio_pipeline.models.voices.refine import chosen_device

    if device == "cuda" and torch.cuda.is_available():
        assert chosen_device("cuda") == "cuda"
        return
    with pytest.raises(ConfigError, match=f"'{device}'"):
        chosen_device(device)
    assert chosen_device(None) == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.long
def test_the_real_gradient_points_towards_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of a twentieth of a style's length, on one sentence, which is also the one that is checked."""
    import soundfile

    from audio_pipeline.models.voices import fit as voice_fit
    from audio_pipeline.models.voices import refine
    from audio_pipeline.models.weights import store

    if any(store.locate(name).folder is None for name in ("kokoro", "ge2e")):
        pytest.skip("the weights are not here (audio-pipeline models fetch kokoro ge2e)")
    x, rate = soundfile.read(sorted(shared("speech/3005").glob("*.flac"))[0], dtype="float32", always_2d=True)
    wanted = voice_fit.analyse(x[: 10 * rate], rate)
    begin = voice_fit.quick(wanted, texts=())
    monkeypatch.setattr(refine, "SEARCH", refine.SEARCH[:1])
    monkeypatch.setattr(refine, "CHECK", refine.SEARCH[:1])
    ground = refine.Search(wanted, begin, "cpu")
    point = begin.pack[0, :128]
    uphill = -ground.gradient(point, np.random.default_rng(0))
    assert np.isfinite(uphill).all()
    assert ground.check(point + 0.1 * uphill / np.linalg.norm(uphill)) > ground.check(point)
