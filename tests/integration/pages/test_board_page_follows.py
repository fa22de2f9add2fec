"""The page of a board follows its season, and answers a visitor's slip where it was made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.browser import Browser
from support.http import JSON, Http, base
from support.processes import Api, serving
from support.relays import carrying
from support.waiting import eventually
from support.world import World

LIVE = "await page.waitForSelector('[data-state=live]');"


@pytest.fixture
def board(api: Api, season: str) -> str:
    """The address of the page of a season with two players."""
    with api.client() as http:
        for user, delta in (("ada", 2), ("bob", 1)):
            assert http.post(season, user, delta).status == 202
        eventually(lambda: len(http.top(season).json["items"]) == 2)
    return f"http://127.0.0.1:{api.port}/board/{season}"


def test_a_period_that_begins_is_told_without_loading_the_page_again(
    browser: Browser, board: str, api: Api, season: str
) -> None:
    browser.open(board)
    browser.run(LIVE)
    with Http(api.port) as http:
        assert http.ask("POST", f"{base(season)}/reset", b"", JSON).status == 200
    browser.run("await page.waitForFunction(() => document.getElementById('period').textContent === 'Period 2')")
    browser.run("await page.waitForFunction(() => document.getElementById('periods').options.length === 2)")
    browser.run("await page.selectOption('#periods', '1'); await page.waitForSelector('[data-state=final]')")
    assert browser.run("return page.locator('#period').isHidden()")


@pytest.mark.walk
def test_a_definition_that_could_not_be_read_is_read_later(browser: Browser, board: str, api: Api, season: str) -> None:
    with Http(api.port) as http:
        assert http.ask("PUT", base(season), b'{"title":"Spring Cup"}', JSON).status == 200
    browser.open("about:blank")
    browser.run(
        "await page.route('**/v1/seasons/*', (route) => route.fulfill({ status: 503 }), { times: 1 });"
        "await page.goto(url);",
        url=board,
    )
    browser.run(LIVE)
    browser.run("await page.waitForFunction(() => document.getElementById('title').textContent === 'Spring Cup')")


@pytest.mark.walk
def test_a_season_that_is_over_is_not_asked_about_again(browser: Browser, api: Api, season: str) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=4)
    with Http(api.port) as http:
        definition = b'{"schedule":{"endsAt":"%b"}}' % f"{ends:%Y-%m-%dT%H:%M:%SZ}".encode()
        assert http.ask("PUT", base(season), definition, JSON).status == 201
        eventually(lambda: http.get(base(season)).json["period"]["state"] == "final")
    browser.open("about:blank")
    browser.run(
        """await page.clock.install();
        globalThis.asked = 0;
        page.on("request", (request) => { asked += /v1.seasons.[^/]+$/.test(request.url()); });
        await page.goto(url);""",
        url=f"http://127.0.0.1:{api.port}/board/{season}",
    )
    browser.run(
        "await page.waitForFunction(() => document.getElementById('clock-label').textContent.includes('ended'))"
    )
    browser.run("await page.clock.runFor(12_000)")
    assert browser.run("return asked") == 1


def test_an_id_that_no_player_has_is_told_beside_it_and_the_board_goes_on(
    browser: Browser, board: str, api: Api, season: str
) -> None:
    browser.open(board)
    browser.run(LIVE)
    browser.run("await page.fill('#player', 'a\\u0085b'); await page.press('#player', 'Enter')")
    browser.run("await page.waitForFunction(() => document.getElementById('find-wrong').textContent)")
    assert "control characters" in browser.run("return page.locator('#find-wrong').textContent()")
    with Http(api.port) as http:
        assert http.post(season, "bob", 5).status == 202
    browser.run("await page.waitForFunction(() => document.querySelector('#rows .name')?.textContent === 'bob')")
    assert browser.run("return page.locator('#empty').isHidden()")


def test_a_number_of_rows_that_is_not_whole_is_cut(browser: Browser, board: str) -> None:
    browser.open(f"{board}?limit=1.5")
    browser.run(LIVE)
    assert browser.run("return page.locator('#rows .row').count()") == 1


@pytest.mark.walk
def test_a_frame_that_fits_itself_to_the_board_shrinks_with_it(browser: Browser, board: str) -> None:
    embedded = board.replace("/board/", "/embed/")
    # As docs/pages.md does it. The frame begins with places for eight rows, and has two.
    browser.open(embedded)
    browser.run(
        """await page.goto(new URL("/livez", url).href);
        await page.evaluate((url) => {
          const frame = document.createElement("iframe");
          addEventListener("message", ({ data }) => { if (data.height) frame.style.height = `${data.height}px`; });
          frame.style.height = "900px";
          frame.src = url;
          document.body.append(frame);
        }, url);
        const rows = page.frameLocator("iframe").locator("#rows .row");
        await rows.nth(1).waitFor();
        await page.waitForFunction(() => document.querySelector("iframe").offsetHeight < 400);""",
        url=embedded,
    )


@pytest.mark.walk
def test_a_key_in_other_letters_is_refused_at_once(browser: Browser, world: World) -> None:
    key = world.key("read", seasons=["s"])
    with carrying(world), serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api:
        browser.open(f"http://127.0.0.1:{api.port}/board/s")
        browser.run("await page.waitForSelector('#key-form:not([hidden])')")
        for wrong in ("ключ", f"“{key}”", "two words"):
            browser.run("await page.fill('#key', wrong); await page.press('#key', 'Enter')", wrong=wrong)
            browser.run("await page.waitForFunction(() => document.getElementById('key-wrong').textContent)")
            assert "no key" in browser.run("return page.locator('#key-wrong').textContent()")
            assert browser.run("return page.locator('#state-text').textContent()") == "Private"
        browser.run("await page.fill('#key', key); await page.press('#key', 'Enter')", key=key)
        browser.run(LIVE)


def test_a_title_that_is_edited_is_shown_after_a_while(browser: Browser, board: str, api: Api, season: str) -> None:
    browser.open("about:blank")
    browser.run(
        """await page.clock.install();
        globalThis.streams = 0;
        page.on("request", (request) => { streams += request.url().includes("/stream?"); });
        await page.goto(url);"""
        + LIVE,
        url=board,
    )
    with Http(api.port) as http:
        assert http.ask("PUT", base(season), b'{"title":"Autumn Cup"}', JSON).status == 200
        for number in range(1, 6):
            # A stream that is silent for forty seconds would be given up, and the page look again for that reason.
            assert http.post(season, f"late {number}", 1).status == 202
            browser.run(
                "await page.waitForFunction((rows) => document.querySelectorAll('#rows > li').length === rows, rows);"
                "await page.clock.fastForward(25_000)",
                rows=2 + number,
            )
    browser.run("await page.waitForFunction(() => document.getElementById('title').textContent === 'Autumn Cup')")
    assert browser.run("return streams") == 1


def test_a_segment_is_a_board_of_its_own(browser: Browser, world: World) -> None:
    world.define("s", title="Spring Cup", segments=["country"])
    for user, country in (("ada", "KR"), ("bob", "GB"), ("cy", "KR")):
        world.name_player(user, user.title(), country=country)
    world.submit(("s", "ada", 5), ("s", "bob", 4), ("s", "cy", 3))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as api:
        browser.open(f"http://127.0.0.1:{api.port}/board/s?segment=country:KR")
        browser.run(LIVE)
        browser.run("await page.waitForFunction(() => document.getElementById('title').textContent.includes('Cup'))")
        assert browser.run("return page.title()") == "Spring Cup \u00b7 KR \u00b7 Leaderboard"
        assert browser.run("return page.locator('#rows .name').allInnerTexts()") == ["Ada", "Cy"]
        world.name_player("bob", "Bob", country="KR")
        browser.run("await page.waitForFunction(() => document.querySelectorAll('#rows > li').length === 3)")
        assert browser.run("return page.locator('#rows .name').allInnerTexts()") == ["Ada", "Bob", "Cy"]
        # It is no attribute of the season: the page says so.
        browser.open(f"http://127.0.0.1:{api.port}/board/s?segment=platform:ps5")
        browser.run(
            "await page.waitForFunction(() => /segments/.test(document.getElementById('empty-text').textContent))"
        )
