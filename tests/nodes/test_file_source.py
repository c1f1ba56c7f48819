from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.frame import Samples
from audio_pipeline.nodes.file_source import NODE, FileSource, Settings
from tests.files.encoding import encode_parts
from tests.nodes.fake import FakeContext, noise, sine

RATE = 48_000


def write(path: Path, x: Samples, rate: int = RATE, subtype: str = "FLOAT") -> str:
    soundfile.write(path, x, rate, subtype=subtype)
    return str(path)


def opened(ctx: FakeContext, settings: Settings, state: dict[str, object] | None = None) -> FileSource:
    node = NODE(settings)
    if state is not None:
        node.restore(state)
    node.open(ctx)
    return node


def play(node: FileSource, ctx: FakeContext, samples: int = 1 << 30) -> Samples:
    """What the engine would draw, until the end or `samples`."""
    out, count = [np.zeros((0, node.settings.channels), np.float32)], 0
    for block in node.blocks(ctx):
        assert not isinstance(block, int)
        out.append(block)
        count += len(block)
        if count >= samples:
            break
    return np.concatenate(out)


def maps(ctx: FakeContext) -> list[tuple[int, str, float]]:
    return [(event.position, event.data["media_id"], event.data["media_s"]) for event in ctx.events]


def test_a_song_at_the_graphs_rate_is_played_bit_for_bit(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(10_007)
    y = play(opened(ctx, Settings(path=write(tmp_path / "a.wav", x))), ctx)
    assert np.array_equal(y, x)
    assert maps(ctx) == [(0, "a.wav", 0.0)]
    assert ctx.events[0].data["length_s"] == pytest.approx(10_007 / RATE)


def test_another_rate_is_converted_to_the_expected_length(tmp_path: Path) -> None:
    ctx = FakeContext(RATE)
    path = write(tmp_path / "a.flac", sine(44_100, 44_100, level=0.5), 44_100, "PCM_24")
    y = play(opened(ctx, Settings(path=path)), ctx)
    assert len(y) == RATE
    assert y[4_800:-4_800] == pytest.approx(sine(RATE, RATE, level=0.5)[4_800:-4_800], abs=1e-4)  # -74 dB


def test_a_loop_has_no_seam(tmp_path: Path) -> None:
    """A song of whole periods at another rate: looped, it is a sine without end."""
    ctx = FakeContext(RATE)
    path = write(tmp_path / "a.wav", sine(44_100, 44_100, hz=441), 44_100)
    y = play(opened(ctx, Settings(path=path, loop=True)), ctx, 3 * RATE)
    assert y[4_800 : 3 * RATE] == pytest.approx(sine(3 * RATE, RATE, hz=441)[4_800:], abs=1e-4)
    assert maps(ctx)[:3] == [(0, "a.wav", 0.0), (RATE, "a.wav", 0.0), (2 * RATE, "a.wav", 0.0)]


def test_a_playlist_plays_on_without_a_gap(tmp_path: Path) -> None:
    ctx, a, b = FakeContext(RATE), noise(5_000, seed=1), noise(7_001, 1, seed=2)
    paths = write(tmp_path / "a.wav", a), write(tmp_path / "b.wav", b)
    y = play(opened(ctx, Settings(path=paths[0], playlist=(paths[1],))), ctx)
    assert np.array_equal(y, np.concatenate([a, np.repeat(b, 2, axis=1)]))
    assert maps(ctx) == [(0, "a.wav", 0.0), (5_000, "b.wav", 0.0)]


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.25])
def test_seek_is_a_crossfade_to_the_exact_sample(tmp_path: Path, seconds: float) -> None:
    ctx, x = FakeContext(RATE), noise(2 * RATE)
    node = opened(ctx, Settings(path=write(tmp_path / "a.wav", x)))
    play(node, ctx, 9_600)
    answer = node.on_command("seek", {"seconds": seconds}, ctx)
    y, at, fade = play(node, ctx, 9_600), round(seconds * RATE), RATE // 100
    assert answer["position"] == 9_600
    assert np.array_equal(y[fade:], x[at + fade : at + len(y)])
    rising, old = ((np.arange(fade) + 0.5) / fade)[:, None], x[9_600 : 9_600 + fade]
    assert y[:fade] == pytest.approx(old * (1 - rising) + x[at : at + fade] * rising, abs=1e-6)
    assert maps(ctx)[-1] == (9_600, "a.wav", seconds)


def test_seek_beyond_the_end_ends_or_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(RATE))
    ctx = FakeContext(RATE)
    node = opened(ctx, Settings(path=path))
    node.on_command("seek", {"seconds": 99}, ctx)
    assert len(play(node, ctx)) <= RATE // 100  # the fade at most
    looped = opened(ctx, Settings(path=path, loop=True))
    looped.on_command("seek", {"seconds": 99}, ctx)
    assert len(play(looped, ctx, RATE)) >= RATE


def test_next_wraps_and_a_missing_next_song_leaves_this_one_playing(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    path = write(tmp_path / "a.wav", x)
    node = opened(ctx, Settings(path=path, playlist=(str(tmp_path / "gone.wav"),)))
    play(node, ctx, 4_800)
    with pytest.raises(MediaError, match=r"gone\.wav: cannot be opened \(No such file or directory\)"):
        node.on_command("next", {}, ctx)
    assert np.array_equal(play(node, ctx, 4_800), x[4_800:9_600])
    alone = opened(ctx, Settings(path=path))
    play(alone, ctx, 4_800)
    alone.on_command("next", {}, ctx)
    assert np.array_equal(play(alone, ctx, 9_600)[480:], x[480:9_600])


def test_loop_can_be_switched_live(tmp_path: Path) -> None:
    ctx = FakeContext(RATE)
    node = opened(ctx, Settings(path=write(tmp_path / "a.wav", noise(4_800)), loop=True))
    assert len(play(node, ctx, 48_000)) == 48_000
    node.on_command("loop", {"on": False}, ctx)
    assert len(play(node, ctx)) <= 4_800


def test_a_successor_goes_on_where_the_song_was(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    settings = Settings(path=write(tmp_path / "a.wav", x), loop=True)
    first = opened(ctx, settings)
    play(first, ctx, RATE + 9_600)
    again = FakeContext(RATE, incarnation=1)
    second = opened(again, settings, first.snapshot())
    assert np.array_equal(play(second, again, 4_800), x[9_600:14_400])
    assert again.events[0].position == RATE + 9_600
    assert again.events[0].data["media_s"] == pytest.approx(0.2)


def test_start_s(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    node = opened(ctx, Settings(path=write(tmp_path / "a.wav", x), start_s=0.25))
    assert np.array_equal(play(node, ctx), x[12_000:])
    assert maps(ctx) == [(0, "a.wav", 0.25)]


def test_8_bit_mono_22_khz(tmp_path: Path) -> None:
    ctx = FakeContext(44_100)
    path = write(tmp_path / "old.wav", sine(22_050, 22_050, channels=1), 22_050, "PCM_U8")
    y = play(opened(ctx, Settings(path=path)), ctx)
    assert y.shape == (44_100, 2)
    assert np.abs(y[4_410:-4_410] - sine(44_100, 44_100)[4_410:-4_410]).max() < 2 / 128  # 8 bits


def test_5_1_becomes_stereo(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), np.zeros((4_800, 6), np.float32)
    x[:, 2] = 0.5  # the centre alone
    y = play(opened(ctx, Settings(path=write(tmp_path / "film.wav", x))), ctx)
    assert y == pytest.approx(np.full((4_800, 2), 0.5 * 0.5**0.5), abs=1e-6)  # -3 dB, ITU-R BS.775


def test_nan_and_infinities_are_silence_and_counted(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(4_800)
    x[100, 0], x[200:203, 1] = np.nan, np.inf
    y = play(opened(ctx, Settings(path=write(tmp_path / "bad.wav", x))), ctx)
    assert np.isfinite(y).all()
    assert ctx.counters["bad_samples"] == 4


def test_a_truncated_song_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    whole = write(tmp_path / "whole.flac", x, subtype="PCM_16")
    data = bytearray(Path(whole).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4_000] = bytes(4_000)
    cut = tmp_path / "cut.flac"
    cut.write_bytes(bytes(data))
    after = write(tmp_path / "after.wav", x)
    y = play(opened(ctx, Settings(path=str(cut), playlist=(after,))), ctx)
    assert np.array_equal(y[-RATE:], x)  # the list goes on
    assert len(y) > RATE + RATE // 4


def test_a_file_without_a_sample_is_an_error_that_names_it(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(4_800)
    path = write(tmp_path / "empty.wav", np.zeros((0, 2), np.float32))
    with pytest.raises(MediaError, match=r"empty\.wav: holds no sound, not one sample"):
        opened(ctx, Settings(path=path, loop=True))
    y = play(opened(ctx, Settings(path=write(tmp_path / "a.wav", x), playlist=(path, path))), ctx)
    assert np.array_equal(y, x)
    assert ctx.logs == [f"{path}: holds no sound, not one sample"]


def test_a_list_of_nothing_but_bad_files_ends(tmp_path: Path) -> None:
    ctx, x = FakeContext(RATE), noise(4_800)
    first = Path(write(tmp_path / "a.wav", x))
    node = opened(ctx, Settings(path=str(first), playlist=(str(tmp_path / "gone.wav"),), loop=True))
    first.unlink()
    assert len(play(node, ctx)) == 4_800


def test_a_track_of_a_film_is_chosen_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    quiet, loud = sine(RATE // 2, RATE, level=0.05), sine(RATE // 2, RATE, level=0.5)
    film = encode_parts(tmp_path / "film.mkv", [("eng", [(0.0, quiet)]), ("deu", [(0.0, loud)])], RATE, "flac")
    ctx = FakeContext(RATE, live=False)
    levels = [np.abs(play(opened(ctx, Settings(path=str(film), track=track)), ctx)).max() for track in (1, 2)]
    assert levels == pytest.approx([0.05, 0.5], rel=0.01)
    with pytest.raises(MediaError, match=r"film\.mkv: has no audio track 3 .* 1 \(eng, flac, stereo\), 2 \(deu"):
        opened(ctx, Settings(path=str(film), track=3))


def test_damage_is_said_once_when_the_song_ends_and_counted(tmp_path: Path) -> None:
    ctx = FakeContext(RATE, live=False)
    path = Path(write(tmp_path / "a.flac", noise(RATE), subtype="PCM_16"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    y = play(opened(ctx, Settings(path=str(path), loop=True)), ctx, 3 * RATE)
    assert len(y) >= 3 * RATE
    assert len(ctx.logs) == 1 and "a.flac: 1 frame damaged, from 0." in ctx.logs[0]
    assert ctx.gauges["bad_frames"] == 1


def test_errors_name_the_file_and_the_reason(tmp_path: Path) -> None:
    ctx = FakeContext(RATE)
    with pytest.raises(MediaError, match=r"nowhere\.mp3: cannot be opened \(No such file or directory\)"):
        opened(ctx, Settings(path=str(tmp_path / "nowhere.mp3")))
    text = tmp_path / "text.mp3"
    text.write_text("This is not music. " * 100)
    with pytest.raises(MediaError, match=r"text\.mp3: is not a sound file that can be read"):
        opened(ctx, Settings(path=str(text)))


def test_seek_wants_a_number_and_unknown_commands_are_refused(tmp_path: Path) -> None:
    ctx = FakeContext(RATE)
    node = opened(ctx, Settings(path=write(tmp_path / "a.wav", noise(480))))
    with pytest.raises(ConfigError, match="seek: expected seconds as a number, got 'soon'"):
        node.on_command("seek", {"seconds": "soon"}, ctx)
    with pytest.raises(NotImplementedError):
        node.on_command("rewind", {}, ctx)
