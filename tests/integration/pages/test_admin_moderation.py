"""Fair play on the operators' page: each control has its consequence beside it, and its effect is seen in the API."""

from __future__ import annotations

from typing import Any

from support.browser import Browser
from support.http import base
from support.office import Office, assert_sound, enter, go, text, until_text
from support.waiting import eventually

NAME = "mallory <b>"


def moderation(office: Office) -> Any:
    return office.ask("GET", "/v1/players/mallory%20%3Cb%3E/moderation").json


def shown(office: Office, season: str) -> list[str]:
    return [row["userId"] for row in office.ask("GET", f"{base(season)}/leaderboard/top").json["items"]]


def press(browser: Browser, button: str) -> None:
    browser.run("await page.getByRole('button', { name }).click()", name=button)


def test_a_player_is_banned_and_hidden_and_comes_back(browser: Browser, office: Office) -> None:
    for season in ("fair", "free"):
        for user in (NAME, "bob"):
            assert office.ask("POST", f"{base(season)}/scores", {"userId": user, "delta": 7}).status == 202
        eventually(lambda season=season: shown(office, season) == [NAME, "bob"])
    enter(browser, office, "players")
    browser.run(
        "await page.fill('#player-id', name); await page.press('#player-id', 'Enter');"
        "await page.waitForSelector('#free-state')",
        name=NAME,
    )
    told = text(browser, "#fair-play")
    assert "Nothing is deleted: unbanning brings back exactly what was." in told
    assert "Submissions of the player go on and count" in told
    # A reason is needed, and the API says what is wrong with the rest.
    press(browser, "Ban the player")
    assert moderation(office)["ban"] is None
    browser.run(
        "await page.fill('#ban-reason', 'speed <i>hack</i>'); await page.fill('#ban-seasons', 'fair\\nnowhere')"
    )
    press(browser, "Ban the player")
    until_text(browser, "no season", "#fair-play .said.wrong")
    browser.run("await page.fill('#ban-seasons', 'fair'); await page.fill('#ban-until', '2099-12-31T12:00')")
    press(browser, "Ban the player")
    until_text(browser, "speed <i>hack</i>", "#ban-state")
    state = moderation(office)["ban"]
    assert (state["seasons"], state["until"][:7], state["actor"]["id"]) == (["fair"], "2099-12", office.key[3:13])
    assert shown(office, "fair") == ["bob"] and shown(office, "free") == [NAME, "bob"]
    refused = office.ask("POST", f"{base('fair')}/scores", {"userId": NAME, "delta": 1})
    assert (refused.status, refused.json["code"]) == (403, "player-banned")
    browser.run("await page.fill('#hide-reason', 'looked into')")
    press(browser, "Hide the player")
    until_text(browser, "looked into", "#hidden-state")
    assert shown(office, "free") == ["bob"]
    found = browser.run(
        """await page.evaluate(axe);
        const runOnly = ["wcag2a", "wcag2aa", "best-practice"];
        const result = await page.evaluate((options) => axe.run(document, options), { runOnly });
        return result.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]);"""
    )
    assert found == []
    browser.run("await page.fill('#unban-reason', 'a mistake')")
    press(browser, "Unban the player")
    browser.run("await page.waitForSelector('#ban-reason')")
    press(browser, "Show the player")
    browser.run("await page.waitForSelector('#free-state')")
    assert moderation(office) == {"userId": NAME, "ban": None, "hidden": None}
    assert shown(office, "fair") == shown(office, "free") == [NAME, "bob"]
    acts = office.ask("GET", "/v1/audit?targetType=player&limit=4").json["items"]
    assert [(one["action"], one["reason"]) for one in acts] == [
        ("player.show", None), ("player.unban", "a mistake"), ("player.hide", "looked into"),
        ("player.ban", "speed <i>hack</i>"),
    ]  # fmt: skip
    assert_sound(browser, refusals=True)


def test_a_key_without_the_scope_sees_that_it_lacks_it(browser: Browser, office: Office) -> None:
    key = office.world.key("read", "submit", "admin")
    office.api.until_known(key)
    office.key, whole = key, office.key
    try:
        enter(browser, office, "players")
        go(browser, "players/ada")
        until_text(browser, "also has the scope moderate", "#player")
        assert browser.run("return page.locator('#fair-play').count()") == 0
    finally:
        office.key = whole
    assert_sound(browser, refusals=True)
