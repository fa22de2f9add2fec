"""The operators' page in a real browser: whatever things are called, on every device, and alone."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from support.browser import Browser
from support.http import Http, base
from support.marks import walks
from support.office import Office, assert_sound, enter, go, until_text
from support.processes import Api

from service.pages.pages import ASSETS

PARTS = ["status", "seasons", "season/spring", "new-season", "players/ada", "events", "keys", "audit", "corrections"]


def strange_names() -> list[str]:
    """Names of all kinds of characters that the API accepts."""
    given = [
        "\u202egnirts desrever", "W" * 64, "Z" + "\u0351\u036b\u0343" * 20, "\u2800", "<img src=x onerror=alert(1)>",
        "{{constructor.constructor('alert(1)')()}}", "سارة", "__proto__", "\u2067ab\u2066",
        "'\"><script>alert(1)</script>", "javascript:alert(1)", "%2e%2e", "#", "?x=1", "constructor",
        "\N{WOMAN}\u200d\N{ROCKET}",
    ]  # fmt: skip
    seed = int(os.environ.get("LEADERBOARD_TEST_SEED", random.randrange(10**6)))
    print(f"names with LEADERBOARD_TEST_SEED={seed}")
    rng = random.Random(seed)
    blocks = [(0x20, 0x7E), (0xA1, 0x24F), (0x300, 0x36F), (0x590, 0x6FF), (0x2000, 0x206F), (0x4E00, 0x4EFF),
              (0xE000, 0xF8FF), (0xFE00, 0xFEFF), (0x1F300, 0x1F6FF), (0xE0000, 0xE007F)]  # fmt: skip
    for _ in range(10):
        drawn = [chr(rng.randint(*rng.choice(blocks))) for _ in range(rng.randint(1, 30))]
        given.append("".join(drawn).replace("/", "_"))
    return given


@pytest.mark.walk
def test_names_cannot_break_the_page(browser: Browser, office: Office) -> None:
    names = [name for name in strange_names() if office.ask("PUT", base(name), {"title": name}).status in (200, 201)]
    assert len(names) > 14
    for name in names:
        assert office.ask("POST", f"{base(name)}/scores", {"userId": name, "delta": 5}).status == 202
    enter(browser, office, "seasons", viewport={"width": 390, "height": 844})
    for part in ("seasons", "events", "audit"):
        go(browser, part)
        assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= 390, part
        assert browser.run("return page.locator('#main img, #main script, #main i, #main b').count()") == 0
    for name in names:
        part = f"season/{name}"
        browser.run(
            "await page.evaluate((to) => { location.hash = `#/season/${encodeURIComponent(to)}`; }, name)", name=name
        )
        browser.run("await page.waitForSelector('.hazards')")
        assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= 390, part
        assert browser.run("return page.inputValue('#d-title')") == name
        shown = browser.run("return page.evaluate(() => document.getElementById('main').innerText)")
        assert not {*shown} & {*"\u202e\u2066\u2067"}
        browser.run(
            "await page.evaluate((to) => { location.hash = `#/players/${encodeURIComponent(to)}`; }, name)", name=name
        )
        browser.run("await page.waitForSelector('#player .scroll')")
        assert browser.run("return page.locator('#main img, #main script').count()") == 0
        assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= 390, part
    # A player without a profile is one that the API does not find.
    assert_sound(browser, refusals=True)


@pytest.mark.walk
def test_names_cannot_break_the_parts_that_others_fill(browser: Browser, office: Office) -> None:
    """Names of relays, which are those of hosts, and the texts of a schedule, which an answer repeats."""
    names = strange_names()
    world = office.world
    seconds, _ = world.redis.time()
    notes = {str(n): f"{seconds * 1_000 + 60_000}:{name}" for n, name in enumerate(names)}
    enter(browser, office, "status", viewport={"width": 390, "height": 844})
    world.redis.hset(world.keys.held, mapping=notes)
    try:
        go(browser, "status")
        until_text(browser, "<img src=x onerror=alert(1)>", "[aria-label=Relays]")
        assert_harmless(browser)
    finally:
        world.redis.hdel(world.keys.held, *notes)
    go(browser, "new-season")
    browser.run("await page.selectOption('#d-schedule', 'cron'); await page.fill('#d-cron', '0 0 * * *')")
    for name in names:
        browser.run(
            """const turn = () => Number(document.getElementById('d-preview').dataset.turn ?? 0);
            const before = await page.evaluate(turn);
            await page.fill('#d-timeZone', name.trim() ? name : 'none');
            await page.waitForFunction(
              (old) => Number(document.getElementById('d-preview').dataset.turn) > old, before);
            await page.waitForSelector('#d-preview .wrong');""",
            name=name,
        )
        assert_harmless(browser)
    assert_sound(browser, refusals=True)


def assert_harmless(browser: Browser) -> None:
    assert browser.run("return page.locator('#main img, #main script, #main i, #main b').count()") == 0
    assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= 390
    shown = browser.run("return page.evaluate(() => document.getElementById('main').innerText)")
    assert not {*shown} & {*"\u202e\u2066\u2067"}


@pytest.mark.parametrize(
    ("device", "scheme"), [("phone", "light"), *walks(("desktop", "dark"), ("phone", "dark"), ("desktop", "light"))]
)
def test_it_is_accessible_and_fits(browser: Browser, office: Office, scheme: str, device: str, tmp_path: Path) -> None:
    size = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1440, "height": 900}}[device]
    shots = Path(os.environ.get("LEADERBOARD_TEST_SCREENSHOTS", tmp_path))
    browser.open(office.url, viewport=size, colorScheme=scheme, reducedMotion="reduce")
    browser.run("await page.waitForSelector('#entry:not([hidden])')")
    for part in ("entry", *PARTS):
        if part == "status":
            browser.run("await page.fill('#key', key); await page.press('#key', 'Enter')", key=office.key)
            browser.run("await page.waitForSelector('#shell:not([hidden])')")
        if part != "entry":
            go(browser, part)
        name = part.partition("/")[0]
        if part == "new-season":
            browser.run(
                """await page.selectOption('#d-schedule', 'cron'); await page.fill('#d-cron', '0 0 * * MON');
                await page.fill('#d-timeZone', 'Europe/Berlin'); await page.waitForSelector('#d-preview li');"""
            )
        # CI keeps them.
        path = str(shots / f"admin-{name}-{device}-{scheme}.png")
        browser.run(
            "await page.evaluate(() => scrollTo(0, 0)); await page.screenshot({ path, fullPage: true })", path=path
        )
        found = browser.run(
            """await page.evaluate(axe);
            const runOnly = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];
            const result = await page.evaluate((options) => axe.run(document, options), { runOnly });
            return result.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]);"""
        )
        assert found == [], part
        assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= size["width"], part
    assert_sound(browser, refusals=True)


def test_the_keyboard_reaches_everything_and_right_to_left_is_mirrored(
    browser: Browser, office: Office, tmp_path: Path
) -> None:
    browser.open(f"{office.url}?dir=rtl", viewport={"width": 1440, "height": 900})
    browser.run("await page.waitForSelector('#entry:not([hidden])')")
    browser.run("await page.keyboard.type(key); await page.keyboard.press('Enter')", key=office.key)
    browser.run("await page.waitForSelector('.verdict')")
    bar, main = (
        browser.run("return page.locator(where).boundingBox()", where=where)["x"] for where in (".bar", "#main")
    )
    assert bar > main
    shots = Path(os.environ.get("LEADERBOARD_TEST_SCREENSHOTS", tmp_path))
    browser.run("await page.waitForSelector('#traffic .figures-row'); await page.screenshot({ path, fullPage: true })",
                path=str(shots / "admin-status-rtl.png"))  # fmt: skip
    go(browser, "seasons")
    browser.run("await page.keyboard.press('Tab'); await page.keyboard.press('Tab')")
    assert browser.run("return page.evaluate(() => document.activeElement.tagName)") in ("A", "SELECT")
    assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= 1440


def test_no_page_may_show_it_in_a_frame(browser: Browser, office: Office) -> None:
    browser.open(f"http://127.0.0.1:{office.api.port}/livez")
    framed = browser.run(
        """return page.evaluate((url) => new Promise((done) => {
          const frame = document.createElement("iframe");
          frame.onload = () => {
            let seen;
            try { seen = frame.contentDocument?.body.className; } catch { seen = null; }
            done(seen ?? null);
          };
          frame.src = url;
          document.body.append(frame);
        }), url);""",
        url=office.url,
    )
    assert framed != "admin"
    assert any("frame-ancestors" in fault for fault in browser.run("return faults"))


def test_an_open_server_asks_for_no_key_and_its_own_page_may_change_things(
    browser: Browser, api: Api, season: str
) -> None:
    browser.open(f"http://127.0.0.1:{api.port}/admin#/new-season")
    browser.run("await page.fill('#season-id', season); await page.click('text=Define the season')", season=season)
    browser.run("await page.waitForSelector('.hazards')")
    with api.client() as http:
        assert http.get(base(season)).status == 200
    go(browser, "keys")
    until_text(browser, "keys are managed with the command")
    assert_sound(browser, refusals=True)


def test_all_of_it_is_small_and_from_this_server(api: Api) -> None:
    with Http(api.port) as http:
        page = http.get("/admin").body
        size = len(page)
        parts = ["admin.css", "admin.js", "board.css", "show.js", "stream.js", "icon.svg"]
        parts += [name for name in ASSETS if name.startswith("admin-")]
        for name in parts:
            asset = http.get(f"/assets/{name}")
            assert asset.status == 200
            size += len(asset.body)
            for elsewhere in (b"http://", b"https://"):
                assert elsewhere not in asset.body.replace(b"http://www.w3.org/2000/svg", b""), name
        assert size < 110 * 1024
        assert b"style=" not in page and b"<style" not in page and b"onclick" not in page
