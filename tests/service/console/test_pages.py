"""The pages in a real browser, on a service that pretends: what is shown, what is asked, who can use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.service.console.development_server import TOKEN, Pretended

pytestmark = pytest.mark.live

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PAGES = ("karaoke", "stems", "host")
HEADINGS = {"karaoke": "Mixer", "stems": "Stems", "host": "Sessions"}


def show(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/#/{name}")
    expect(page.get_by_role("heading", name=HEADINGS[name], exact=True).last).to_be_visible()


def asked(pretended: Pretended, method: str, end: str) -> list[Any]:
    return [body for how, path, body in pretended.asked if how == method and path.endswith(end)]


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(page: Page, url: str, pretended: Pretended, name: str, scheme: Any) -> None:
    pretended.begin("stems4_browser" if name == "stems" else "karaoke_browser", "Slow Motion Dream")
    pretended.record(True)
    pretended.record(False)
    page.emulate_media(color_scheme=scheme)
    show(page, url, name)
    page.evaluate(AXE.read_text(encoding="utf-8"))  # as the policy allows no script from elsewhere
    found = page.evaluate("axe.run()")["violations"]
    said = [(each["id"], [node["html"][:200] + node["failureSummary"] for node in each["nodes"]]) for each in found]
    assert not found, json.dumps(said, indent=1)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_phone(page: Page, url: str, pretended: Pretended, name: str) -> None:
    pretended.begin(
        "stems4_browser" if name == "stems" else "karaoke_browser", "A song with quite a long title of its own"
    )
    page.set_viewport_size({"width": 390, "height": 844})
    show(page, url, name)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_theme_follows_the_system_until_it_is_chosen(page: Page, url: str) -> None:
    page.emulate_media(color_scheme="light")
    show(page, url, "host")
    theme = page.locator("html")
    expect(theme).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(theme).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Light theme").click()
    expect(theme).to_have_attribute("data-theme", "light")
    page.reload()
    expect(theme).to_have_attribute("data-theme", "light")


def test_the_demo_song_starts_in_one_click(page: Page, url: str, pretended: Pretended) -> None:
    show(page, url, "karaoke")
    expect(page.get_by_text("Slow Motion Dream").first).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    [created] = asked(pretended, "POST", "/v1/sessions")
    assert created["config"] == "karaoke_browser"
    assert created["set"]["song.path"] == "demo"


def test_a_refusal_stands_on_the_page_in_words(page: Page, url: str, pretended: Pretended) -> None:
    pretended.refusal = {"code": "capacity", "message": "0.31 cores are needed, 0.12 are free", "where": ""}
    show(page, url, "karaoke")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_have_text("0.31 cores are needed, 0.12 are free. Try again in 5 s.")


def test_a_reload_goes_on_with_the_session(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("karaoke_browser", "Slow Motion Dream")
    show(page, url, "karaoke")
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    page.reload()
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    assert pretended.sessions_made == 1


def test_faders_and_mutes_set_values(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("karaoke_browser", "")
    show(page, url, "karaoke")
    fader = page.get_by_role("slider", name="Level of Vocals")
    expect(fader).to_be_enabled()
    fader.focus()
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    expect(fader).to_have_attribute("aria-valuetext", "−20.0 dB")
    page.keyboard.press("Home")
    expect(fader).to_have_attribute("aria-valuetext", "−∞ dB")
    page.get_by_role("button", name="Mute Band").click()
    expect(page.get_by_role("button", name="Mute Band")).to_have_attribute("aria-pressed", "true")
    values = pretended.state["values"]
    page.wait_for_timeout(300)  # the last request is under way
    assert values["mix.inputs.vocals.gain_db"] == -120
    assert values["mix.inputs.accompaniment.mute"] is True
    sent = len(asked(pretended, "PATCH", pretended.session["id"] if pretended.session else ""))
    assert 2 <= sent <= 22  # moves that come while one is under way go together


def test_transport(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("karaoke_browser", "")
    show(page, url, "karaoke")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_role("button", name="Loop the song").click()
    expect(page.get_by_role("button", name="Loop the song")).to_have_attribute("aria-pressed", "false")
    seek = page.get_by_role("slider", name="Position in the song")
    seek.focus()
    page.keyboard.press("PageUp")
    expect(seek).to_have_attribute("aria-valuetext", "42 seconds of 54 seconds")
    said = asked(pretended, "POST", "/transport")
    assert [each["action"] for each in said] == ["pause", "loop", "seek"]
    assert said[2]["to_s"] == pytest.approx(42, abs=1.5)


def test_songs_are_uploaded_queued_and_deleted(page: Page, url: str, pretended: Pretended) -> None:
    show(page, url, "karaoke")
    page.locator("input[type=file]").set_input_files(
        [
            {"name": "my_song.wav", "mimeType": "audio/wav", "buffer": b"RIFF"},
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no"},
        ]
    )
    expect(page.get_by_role("button", name="Play my song")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text("notes.txt: This is not a sound file.")
    page.get_by_role("button", name="Queue my song").click()
    expect(page.get_by_role("heading", name="Up next")).to_be_visible()
    page.get_by_role("button", name="Remove my song").click()
    expect(page.get_by_role("heading", name="Up next")).to_have_count(0)
    page.get_by_role("button", name="Play my song").click()
    expect(page.locator(".song-title")).to_have_text("my song")
    assert asked(pretended, "POST", "/v1/sessions")[0]["set"]["song.path"] == f"file:{pretended.files[0]['id']}"


def test_a_take_is_recorded_listened_to_downloaded_and_deleted(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("karaoke_browser", "")
    show(page, url, "karaoke")
    page.get_by_role("button", name="Record").click()
    page.get_by_role("button", name="Stop 0:").click()
    listen = page.get_by_role("button", name="Listen to Take 1")
    listen.click()
    expect(page.get_by_role("button", name="Pause Take 1")).to_be_visible()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()  # the song waits meanwhile
    with page.expect_download() as download:
        page.get_by_role("link", name="Download vocals of Take 1").click()
    assert download.value.path().stat().st_size > 40_000
    page.get_by_role("button", name="Delete Take 1").click()
    expect(page.get_by_text("Press Record, sing")).to_be_visible()


def test_stems_are_muted_and_heard_alone(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("stems4_browser", "")
    show(page, url, "stems")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("stems4_browser")
    expect(page.get_by_role("img", name="Spectrogram of Drums")).to_be_visible()
    page.get_by_role("button", name="Solo Drums").click()
    page.get_by_role("radio", name="Microphone or line-in").check(force=True)
    expect(page.get_by_role("group", name="Input")).to_be_visible()
    page.wait_for_timeout(300)  # the last request is under way
    values = pretended.state["values"]
    assert values["mix.inputs.drums.solo"] is True
    assert values["source.inputs.song.mute"] is True
    assert values["source.inputs.line.mute"] is False


def test_another_mode_makes_another_session(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("stems_browser", "")
    show(page, url, "stems")
    page.get_by_role("radio", name="Best").check(force=True)
    page.wait_for_timeout(300)
    assert asked(pretended, "DELETE", "0001")
    assert asked(pretended, "POST", "/v1/sessions")[0]["set"]["split.mode"] == "quality"


def test_a_session_is_ended_after_a_second_click(page: Page, url: str, pretended: Pretended) -> None:
    pretended.begin("karaoke_browser", "Ann sings")
    show(page, url, "host")
    expect(page.get_by_role("cell", name="running").first).to_be_visible()
    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("button", name="End Ann sings").click()
    expect(page.get_by_text("Nothing plays.")).to_be_visible()


@pytest.mark.parametrize("pretended", [Pretended(needs_token=True)])
def test_a_link_logs_in_once_and_leaves_no_token_in_the_address(page: Page, url: str, pretended: Pretended) -> None:
    page.goto(f"{url}/#login={TOKEN}")
    expect(page.get_by_role("heading", name="Mixer")).to_be_visible()
    assert page.url == f"{url}/#/karaoke"
    assert page.evaluate("JSON.stringify([...Object.values(localStorage)])").find(TOKEN) < 0


@pytest.mark.parametrize("pretended", [Pretended(needs_token=True)])
def test_without_a_token_it_is_asked_for(page: Page, url: str, pretended: Pretended) -> None:
    page.goto(url)
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This link is not valid.")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Mixer")).to_be_visible()


@pytest.mark.parametrize("name", PAGES)
def test_every_control_is_reached_by_tab_and_shows_that_it_is(
    page: Page, url: str, pretended: Pretended, name: str
) -> None:
    pretended.begin("stems_browser" if name == "stems" else "karaoke_browser", "")
    show(page, url, name)
    page.wait_for_timeout(600)
    controls = "button:enabled, a[href], input:enabled:not([hidden]):not([type=radio]), select:enabled"
    wanted = page.locator(f"#app :is({controls})").count()
    reached = set[str]()
    for _ in range(2 * wanted + 10):
        page.keyboard.press("Tab")
        name_and_outline = page.evaluate(
            """() => {
              const e = document.activeElement;
              const shown = e.matches('[type=radio]') ? e.nextElementSibling : e;
              return [e.outerHTML.slice(0, 300), getComputedStyle(shown).outlineStyle];
            }"""
        )
        if name_and_outline[0].startswith("<body"):
            break
        assert name_and_outline[1] != "none", name_and_outline[0]
        reached.add(name_and_outline[0])
    assert len(reached) >= wanted


def test_the_service_that_is_gone_is_said(page: Page, url: str, pretended: Pretended) -> None:
    page.route("**/v1/me", lambda route: route.abort())
    page.goto(url)
    expect(page.get_by_role("alert")).to_have_text("The service does not answer. It may be restarting.")
    page.unroute("**/v1/me")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Mixer")).to_be_visible()


def test_reduced_motion_stops_transitions(page: Page, url: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    show(page, url, "karaoke")
    button = page.get_by_role("button", name="Light theme").or_(page.get_by_role("button", name="Dark theme"))
    assert button.evaluate("e => getComputedStyle(e).transitionDuration") in ("0s", "")
