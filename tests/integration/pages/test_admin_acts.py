"""The operators' page: what a player submitted, the end of a player, and who did what."""

from __future__ import annotations

from urllib.parse import quote

from support.browser import Browser
from support.http import base
from support.office import Office, assert_sound, enter, go, text, until_text
from support.periods import keeper_of
from support.relays import Unsignalled
from support.waiting import eventually

from relay.janitor import Janitor

PRESS_SHOW = """await page.click('#main button:text-is("Show")');"""


def submit(office: Office, season: str, user: str, *numbers: int) -> None:
    for number in numbers:
        body = {"userId": user, "score": number}
        assert office.ask("POST", f"{base(season)}/scores", body).status == 202


def test_what_a_player_submitted_is_shown_and_which_of_it_counts(browser: Browser, office: Office) -> None:
    user, season = "grace", "laps shown"
    assert office.ask("PUT", base(season), {"operator": "best", "order": "asc"}).status == 201
    submit(office, season, user, *range(160, 99, -1))
    eventually(lambda: office.ask("GET", f"{base(season)}/leaderboard/rank?userId={user}").status == 200)
    enter(browser, office)
    go(browser, f"players/{user}")
    assert browser.run("return page.locator('#history-season').inputValue()") == season
    browser.run(PRESS_SHOW)
    until_text(browser, "counts", "#history")
    rows = "return page.locator('#history tbody tr').allInnerTexts()"
    first, second, *_ = shown = browser.run(rows)
    assert len(shown) == 50 and first.split("\t")[1:3] == ["100", "counts"]
    assert second.split("\t")[1:3] == ["101", "not the best"]
    browser.run("await page.click('text=Show earlier ones')")
    eventually(lambda: len(browser.run(rows)) == 61)
    browser.run("await page.fill('#history-season', 'no such season'); " + PRESS_SHOW)
    until_text(browser, "no such season", ".said.wrong")
    assert_sound(browser, refusals=True)


def test_a_player_is_erased_when_the_id_has_been_typed(browser: Browser, office: Office) -> None:
    user, season = "to be erased", "erasing"
    submit_plain = {"userId": user, "delta": 5}
    assert office.ask("POST", f"{base(season)}/scores", submit_plain).status == 202
    eventually(lambda: office.ask("GET", f"{base(season)}/leaderboard/count").json["count"] == 1)
    enter(browser, office)
    go(browser, f"players/{quote(user)}")
    assert "cannot be undone" in text(browser, ".hazards")
    confirm = ".hazards input:not(#erase-reason)"
    assert browser.run("return page.locator('.hazards button').isDisabled()")
    browser.run("await page.fill(confirm, 'to be'); await page.press(confirm, 'Enter')", confirm=confirm)
    assert office.ask("GET", f"{base(season)}/leaderboard/count").json["count"] == 1
    browser.run(
        "await page.fill('#erase-reason', 'ticket 4\\u00b711'); await page.fill(confirm, user);"
        " await page.click('.hazards button')",
        confirm=confirm,
        user=user,
    )
    eventually(lambda: office.ask("GET", f"{base(season)}/leaderboard/count").json["count"] == 0)
    Janitor(office.world.settings, Unsignalled()).erase(office.world.db)
    until_text(browser, "Erased, with 1 submission.", ".said.good")
    (act,) = office.ask("GET", "/v1/audit?action=player.erase&limit=1").json["items"]
    assert act["reason"] == "ticket 4\u00b711" and "id" not in act["target"]
    assert_sound(browser, refusals=True)


def test_acts_are_told_with_who_why_and_what_changed(browser: Browser, office: Office) -> None:
    season = "audited <b>"
    assert office.ask("PUT", base(season), {"title": "One", "display": {"unit": "pts"}}).status == 201
    assert office.ask("PATCH", base(season), {"title": "Two"}).status == 200
    enter(browser, office)
    go(browser, "audit")
    browser.run("await page.fill('#audit-target', season); await page.press('#audit-target', 'Enter')", season=season)
    browser.run("await page.waitForFunction(() => document.querySelectorAll('#audit tbody tr').length === 2)")
    until_text(browser, f"season {season}", "#audit")
    assert f"key {office.key.split('_')[1]}" in text(browser, "#audit")
    browser.run("await page.click('#audit tbody tr:first-child summary')")
    until_text(browser, 'title "One" \u2192 "Two"', "#audit")
    assert "pts" not in text(browser, "#audit tbody tr:first-child"), "what stayed as it was is left out"
    browser.run("await page.selectOption('select', 'key')")
    until_text(browser, "No such act yet.", "#audit")
    browser.run("await page.selectOption('select', ''); await page.fill('#audit-target', '');")
    browser.run("await page.fill('#audit-actor', 'nobody'); await page.press('#audit-actor', 'Enter')")
    until_text(browser, "No such act yet.", "#audit")
    assert_sound(browser)


def test_a_correction_is_previewed_applied_and_undone(browser: Browser, office: Office) -> None:
    season = "corrected here"
    assert office.ask("PUT", base(season), {"operator": "best"}).status == 201
    for user, number in (("ada", 90), ("bob", 80), ("ada", 10)):
        submit(office, season, user, number)
    eventually(lambda: office.ask("GET", f"{base(season)}/leaderboard/count").json.get("count") == 2)
    enter(browser, office)
    go(browser, "corrections/ada")
    assert browser.run("return page.locator('#c-user').inputValue()") == "ada"
    browser.run(
        "await page.fill('#c-season', season); await page.fill('#c-reason', 'aim bot');"
        " await page.click('text=Preview')",
        season=season,
    )
    until_text(browser, "2 submissions of the season", "#preview")
    ranks = "return page.locator('#preview tbody tr').innerText()"
    assert browser.run(ranks).split("\t") == ["ada", "1", "1", "\u2013"]
    assert office.ask("GET", "/v1/corrections").json["items"] == [], "nothing is written"
    browser.run("await page.selectOption('#c-action', 'set'); await page.fill('#c-value', '70')")
    assert browser.run("return page.locator('#preview > *').count()") == 0, "it was of other fields"
    browser.run("await page.click('text=Preview')")
    until_text(browser, "2 submissions of the season", "#preview")
    assert browser.run(ranks).split("\t") == ["ada", "1", "1", "2"]
    browser.run("await page.click('text=Apply to 2 submissions')")
    until_text(browser, "running", "#corrections")
    keeper_of(office.world).correct(office.world.db)
    until_text(browser, "applied", "#corrections")
    top = office.ask("GET", f"{base(season)}/leaderboard/top").json["items"]
    assert [(item["userId"], item["score"]) for item in top] == [("bob", 80), ("ada", 70)]
    browser.run("await page.click('#corrections summary'); await page.click('text=Undo correction')")
    until_text(browser, "undoing", "#corrections")
    assert "userId ada" in text(browser, "#corrections")
    keeper_of(office.world).correct(office.world.db)
    until_text(browser, "undone", "#corrections")
    top = office.ask("GET", f"{base(season)}/leaderboard/top").json["items"]
    assert [(item["userId"], item["score"]) for item in top] == [("ada", 90), ("bob", 80)]
    browser.run("await page.fill('#c-season', 'no such season'); await page.click('text=Preview')")
    until_text(browser, "no such season", ".said.wrong")
    assert_sound(browser, refusals=True)
