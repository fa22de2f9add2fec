"""The operators' page in a real browser: every control, with its effect seen in the API."""

from __future__ import annotations

import time

from support.browser import Browser
from support.http import base, bearer
from support.office import SEASON, Office, assert_sound, enter, go, text, until_text
from support.waiting import eventually

from service.access import sessions
from service.access.tickets import sign

ADA = "ada"


def test_signing_in_and_out(browser: Browser, office: Office) -> None:
    browser.open(office.url)
    browser.run("await page.waitForSelector('#entry:not([hidden])')")
    assert_sound(browser)
    reader = office.world.key("read")
    office.api.until_known(reader)
    for wrong, told in (("lb_wrong", "This is no key"), (reader, "lacks the scope admin")):
        browser.run("await page.fill('#key', wrong); await page.press('#key', 'Enter')", wrong=wrong)
        until_text(browser, told, "#entry-wrong")
    assert browser.run("return context.cookies()") == []
    browser.run("await page.fill('#key', key); await page.press('#key', 'Enter')", key=office.key)
    until_text(browser, "Status", "#main")
    (cookie,) = browser.run("return context.cookies()")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    stored = "[localStorage.length, sessionStorage.length, document.cookie, document.documentElement.outerHTML]"
    *stores, page = browser.run(f"return page.evaluate(() => {stored})")
    assert stores == [0, 0, ""] and office.key not in page
    # Loaded again it is still signed in; signed out it is not, and the old cookie is good for nothing.
    browser.run("await page.reload(); await page.waitForSelector('#status .verdict')")
    token = browser.run("return page.evaluate(async () => (await (await fetch('admin/session')).json()).token)")
    browser.run("await page.click('#sign-out'); await page.waitForSelector('#entry:not([hidden])')")
    assert browser.run("return context.cookies()") == []
    with office.api.client() as http:
        halves = {"Cookie": f"{cookie['name']}={cookie['value']}", **bearer(token)}
        eventually(lambda: http.ask("GET", "/v1/status", None, halves).status == 401)
    assert_sound(browser, refusals=True)


def test_a_session_that_ends_closes_the_page(browser: Browser, office: Office) -> None:
    ((secret,),) = office.world.rows("SELECT secret FROM access")

    def give(life_s: float) -> None:
        content = sessions._encode(sessions.Session("short", office.key[3:13], time.time() + life_s))
        cookie = sign(secret, sessions.COOKIE_PREFIX, content)
        browser.run(
            "await context.addCookies([{ name: 'lb_session', value, domain: '127.0.0.1', path: '/' }])", value=cookie
        )

    browser.open(f"http://127.0.0.1:{office.api.port}/livez")
    give(60)
    browser.run("await page.clock.install(); await page.goto(url)", url=f"{office.url}#/keys")
    until_text(browser, "A new key")
    browser.run("await page.clock.fastForward(61_000)")
    until_text(browser, "The session has ended", "#entry")
    assert not browser.run("return page.locator('#shell').isVisible()")
    assert browser.run("return page.locator('#main .part').count()") == 0
    # The server says so, too: by an answer to a request that comes too late.
    give(600)
    browser.run("await page.goto('about:blank'); await page.goto(url)", url=f"{office.url}#/keys")
    until_text(browser, "A new key")
    browser.run("await context.clearCookies(); await page.click('a[href=\"#/seasons\"]')")
    until_text(browser, "The session has ended", "#entry")


def test_a_season_is_defined_and_changed(browser: Browser, office: Office) -> None:
    enter(browser, office, "new-season")
    browser.run(
        """await page.fill('#season-id', 'weekly lap'); await page.fill('#d-title', 'Best <b>lap</b>');
        await page.selectOption('#d-operator', 'best'); await page.selectOption('#d-order', 'asc');
        await page.fill('#d-min', '20000'); await page.fill('#d-max', '10');
        await page.selectOption('#d-schedule', 'cron');
        await page.fill('#d-cron', '0 0 * * MON'); await page.fill('#d-timeZone', 'Europe/Berlin');
        await page.fill('#d-columns', 'time asc'); await page.fill('#d-metadata', '{"big": 9007199254740993}');
        await page.click('text=Define the season');"""
    )
    # The API says what is wrong, and nothing is lost of what was entered.
    until_text(browser, "bounds", ".said")
    browser.run("await page.fill('#d-max', '600000'); await page.click('text=Define the season')")
    until_text(browser, "The next one ends")
    made = office.season("weekly lap")
    assert (made["title"], made["operator"], made["order"]) == ("Best <b>lap</b>", "best", "asc")
    assert made["bounds"] == {"min": 20_000, "max": 600_000} and made["columns"] == [{"name": "time", "order": "asc"}]
    assert made["schedule"] == {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}
    assert made["metadata"] == {"big": 9007199254740993}
    assert "The best run of a player counts; the lowest score is first." in text(browser)
    browser.run(
        """await page.selectOption('#d-schedule', 'once'); await page.fill('#d-endsAt', '2099-01-01T00:00:00Z');
        await page.selectOption('#d-visibility', 'public'); await page.fill('#d-metadata', '{"x": 1}');
        await page.click('button:text-is("Save")');"""
    )
    until_text(browser, "The definition is saved.")
    after = office.season("weekly lap")
    assert (after["schedule"], after["visibility"], after["metadata"]) == (
        {"endsAt": "2099-01-01T00:00:00Z"}, "public", {"x": 1},
    )  # fmt: skip
    assert {**made, "schedule": 0, "visibility": 0, "metadata": 0, "period": 0, "nextEndsAt": 0} == {
        **after, "schedule": 0, "visibility": 0, "metadata": 0, "period": 0, "nextEndsAt": 0,
    }  # fmt: skip
    # Two operators at a time: the second one is told, and changes nothing.
    assert office.ask("PATCH", base("weekly lap"), {"title": "changed meanwhile"}).status == 200
    browser.run("await page.fill('#d-title', 'mine'); await page.click('button:text-is(\"Save\")')")
    until_text(browser, "not in the state that If-Match", ".said.wrong")
    assert office.season("weekly lap")["title"] == "changed meanwhile"
    # A name that is taken.
    go(browser, "new-season")
    browser.run("await page.fill('#season-id', 'weekly lap'); await page.click('text=Define the season')")
    until_text(browser, "There is a season of this name already.", ".said")
    assert_sound(browser, refusals=True)


def test_a_schedule_shows_its_next_ends_before_it_is_saved(browser: Browser, office: Office) -> None:
    enter(browser, office, "new-season")
    assert not browser.run("return page.locator('#d-preview').isVisible()")
    browser.run("await page.selectOption('#d-schedule', 'cron'); await page.fill('#d-cron', '0 0 29 2 *')")
    until_text(browser, "as soon as both parts are there", "#d-preview")
    browser.run("await page.fill('#d-timeZone', 'Europe/Berlin')")
    until_text(browser, "Its next periods end", "#d-preview")
    ends = browser.run("return page.locator('#d-preview li time').evaluateAll((all) => all.map((one) => one.dateTime))")
    # In Berlin a leap day begins an hour before midnight in UTC.
    assert len(ends) == 5 and all(end.endswith("-02-28T23:00:00Z") for end in ends)
    shown = text(browser, "#d-preview")
    assert "February 29" in shown and "Europe/Berlin, UTC+01:00, in" in shown
    browser.run("await page.fill('#d-cron', '0 0 30 2 *')")
    until_text(browser, "never comes: none of its months has such a day", "#d-preview .wrong")
    browser.run("await page.fill('#d-timeZone', '\u202eMars<b>')")
    until_text(browser, "no IANA time zone: Mars<b>", "#d-preview .wrong")
    browser.run("await page.selectOption('#d-schedule', '')")
    browser.run("await page.waitForSelector('#d-preview', { state: 'hidden' })")
    with office.api.client() as http:
        assert http.ask("GET", "/v1/seasons?state=upcoming", None, bearer(office.key)).json["items"] == []
    # A season that has a schedule shows its ends at once.
    definition = {"schedule": {"endsAt": "2199-01-01T00:00:00+03:00"}}
    assert office.ask("PUT", base("ends once"), definition).status == 201
    go(browser, "season/ends once")
    until_text(browser, "It ends", "#d-preview")
    until_text(browser, "2198", "#d-preview")
    assert_sound(browser, refusals=True)


def test_segments_are_defined_too(browser: Browser, office: Office) -> None:
    enter(browser, office, "new-season")
    browser.run(
        """await page.fill('#season-id', 'by country'); await page.fill('#d-segments', 'country');
        await page.click('text=Define the season');"""
    )
    until_text(browser, "What cannot be undone")
    assert office.season("by country")["segments"] == ["country"]
    browser.run("await page.fill('#d-title', 'Countries'); await page.click('button:text-is(\"Save\")')")
    until_text(browser, "The definition is saved.")
    assert office.season("by country")["segments"] == ["country"], "a change of another member leaves them"
    assert_sound(browser, refusals=True)


def test_what_hurts_says_its_consequence_and_waits_for_the_name(browser: Browser, office: Office) -> None:
    name = "to be ended"
    assert office.ask("POST", f"{base(name)}/scores", {"userId": "ada", "delta": 7}).status == 202
    eventually(lambda: office.ask("GET", f"{base(name)}/leaderboard/count").json["count"] == 1)
    enter(browser, office, "status")
    go(browser, f"season/{name}")
    shown = text(browser, ".hazards")
    assert "become final and stay readable" in shown and "none comes back" in shown
    end, empty = ".hazards .hazard:nth-of-type(1)", ".hazards .hazard:nth-of-type(2)"
    for where in (end, empty):
        assert browser.run("return page.locator(`${where} button`).isDisabled()", where=where)
        browser.run(
            "await page.fill(`${where} input`, 'to be'); await page.press(`${where} input`, 'Enter')", where=where
        )
        assert browser.run("return page.locator(`${where} button`).isDisabled()", where=where)
    assert office.season(name)["period"]["number"] == 1
    browser.run("await page.fill(`${where} input`, name); await page.click(`${where} button`)", where=end, name=name)
    until_text(browser, "Period 2 has begun.")
    assert office.season(name)["period"]["number"] == 2
    browser.run("await page.selectOption('#season select', '1')")
    until_text(browser, "ada", "#standings")
    assert office.ask("POST", f"{base(name)}/scores", {"userId": "bob", "delta": 9}).status == 202
    eventually(lambda: office.ask("GET", f"{base(name)}/leaderboard/count").json["count"] == 1)
    browser.run("await page.fill(`${where} input`, name); await page.click(`${where} button`)", where=empty, name=name)
    until_text(browser, "The season is empty.")
    assert office.ask("GET", f"{base(name)}/leaderboard/count").json["count"] == 0
    assert_sound(browser)


def test_keys_are_made_rotated_and_revoked(browser: Browser, office: Office) -> None:
    enter(browser, office, "keys")
    until_text(browser, "A new key")
    browser.run("await page.fill('#key-name', 'game <i>server</i>'); await page.click('text=Make the key')")
    until_text(browser, "scopes", ".said.wrong")
    browser.run(
        """await page.check('#scope-read'); await page.check('#scope-submit');
        await page.fill('#key-seasons', 'spring'); await page.fill('#key-days', '30');
        await page.click('text=Make the key'); await page.waitForSelector('#secret');"""
    )
    secret = browser.run("return page.inputValue('#secret')")
    made = next(key for key in office.ask("GET", "/v1/keys").json["keys"] if key["id"] == secret[3:13])
    assert (made["name"], made["scopes"], made["seasons"]) == ("game <i>server</i>", ["read", "submit"], ["spring"])
    with office.api.client() as http:
        path = f"{base(SEASON)}/leaderboard/count"
        eventually(lambda: http.ask("GET", path, None, bearer(secret)).status == 200)
        browser.run("await page.click('text=I have stored it')")
        assert secret not in browser.run("return page.content()")
        browser.run(
            """await page.click('[aria-label="Rotate or revoke game <i>server</i>"]');
            await page.fill('#grace', '1'); await page.click('#care button:text-is("Rotate")');
            await page.waitForSelector('#secret');"""
        )
        successor = browser.run("return page.inputValue('#secret')")
        assert successor != secret
        eventually(lambda: http.ask("GET", path, None, bearer(successor)).status == 200)
        listed = {key["id"]: key for key in office.ask("GET", "/v1/keys").json["keys"]}
        assert listed[secret[3:13]]["successor"] == successor[3:13]
        browser.run(
            """await page.locator('tr', { hasText: id }).getByRole('button').click();
            await page.fill('#care .hazard:last-child input', id); await page.click('#care .danger');""",
            id=successor[3:13],
        )
        eventually(lambda: http.ask("GET", path, None, bearer(successor)).status == 401)
    until_text(browser, "revoked", "#keys")
    assert_sound(browser, refusals=True)


def test_a_player_is_looked_up_and_renamed(browser: Browser, office: Office) -> None:
    enter(browser, office, "players")
    browser.run("await page.fill('#player-id', 'ada'); await page.press('#player-id', 'Enter')")
    until_text(browser, SEASON, "#player")
    assert "9,840" in text(browser, "#player")
    for name in ("Ada Fox", "Ada <img src=x>", ""):
        browser.run("await page.fill('#display-name', name); await page.click('text=Rename')", name=name)
        eventually(lambda name=name: office.ask("GET", "/v1/players/ada").json.get("displayName") == (name or None))
        until_text(browser, name or ADA, ".player-title")
    browser.run("await page.fill('#display-name', '\\u202eturned'); await page.click('text=Rename')")
    until_text(browser, "displayName", ".said.wrong")
    assert_sound(browser, refusals=True)


def test_events_are_told_newest_first(browser: Browser, office: Office) -> None:
    for name in ("first", "second"):
        assert office.ask("POST", f"{base(f'event {name}')}/scores", {"userId": "ada", "delta": 7}).status == 202
        assert office.ask("POST", f"{base(f'event {name}')}/reset").status == 200
    enter(browser, office, "events")
    until_text(browser, "event second", "#events")
    shown = text(browser, "#events")
    assert shown.index("event second") < shown.index("event first")
    browser.run("await page.selectOption('select', 'period.ended')")
    browser.run(
        "await page.waitForFunction(() => !document.getElementById('events').innerText.includes('leader.changed'))"
    )
    until_text(browser, "The period ended.", "#events")
    assert_sound(browser)


def test_the_traffic_is_told_and_drawn(browser: Browser, office: Office) -> None:
    enter(browser, office, "status")
    browser.run("await page.waitForSelector('#traffic .figures-row')")

    def are_told() -> bool:
        """The figures are those of the last seconds, so the traffic goes on until the page has told it."""
        assert office.ask("POST", f"{base('busy')}/scores", {"userId": "ada", "delta": 1}).status == 202
        assert office.ask("GET", f"{base(SEASON)}/leaderboard/top").status == 200
        return all("p99" in text(browser, f"#traffic .figure:nth-child({kind})") for kind in (1, 2))

    eventually(are_told)
    until_text(browser, "1 worker of the server that answered", "#traffic")
    browser.run("await page.waitForSelector('#traffic .chart svg polyline')")
    browser.run("await page.selectOption('select[aria-label=\"How far back\"]', '15')")
    until_text(browser, " ago", "#traffic .chart .axis")
    until_text(browser, "Relays")
    assert_sound(browser)


def test_the_status_follows(browser: Browser, office: Office) -> None:
    enter(browser, office, "status")
    browser.run("await page.waitForSelector('.verdict')")
    # No keeper is at work in this world, which the page says; and it has a cell for each partition.
    until_text(browser, "No keeper is at work")
    assert browser.run("return page.locator('.cells li').count()") == 64
    seasons = browser.run("return page.locator('.figure dd').nth(2).innerText()")
    assert office.ask("POST", f"{base('one more season')}/scores", {"userId": "ada", "delta": 7}).status == 202
    browser.run(
        "await page.waitForFunction((old) => document.querySelectorAll('.figure dd')[2].innerText !== old, old)",
        old=seasons,
    )
    assert_sound(browser)
