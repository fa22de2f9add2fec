"""An operator in a browser: a server with keys, and the page `/admin` on it."""

from __future__ import annotations

import json
from typing import Any, Final

from support.browser import Browser
from support.http import JSON, Answer, base, bearer
from support.processes import Api
from support.world import World

SEASON: Final = "spring"


class Office:
    """A server with a season, a key for everything, and a relay at work."""

    def __init__(self, world: World, api: Api) -> None:
        self.world = world
        self.api = api
        self.key = world.key("read", "submit", "moderate", "admin")
        api.until_known(self.key)
        self.url = f"http://127.0.0.1:{api.port}/admin"

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask the API as a program does."""
        with self.api.client() as http:
            data = None if body is None else json.dumps(body).encode()
            return http.ask(method, path, data, {**bearer(self.key), **({} if body is None else JSON)})

    def season(self, name: str) -> Any:
        return self.ask("GET", base(name)).json


def enter(browser: Browser, office: Office, part: str = "status", **options: Any) -> None:
    """Sign in on a fresh page, and go to a part."""
    browser.open(f"{office.url}#/{part}", **options)
    browser.run("await page.fill('#key', key); await page.press('#key', 'Enter');", key=office.key)
    browser.run("await page.waitForSelector('#shell:not([hidden])')")


def go(browser: Browser, part: str) -> None:
    """Go to a part, and wait until it has loaded."""
    browser.run(
        """await page.evaluate((to) => { location.hash = '#/status'; location.hash = to; }, `#/${part}`);
        await page.waitForFunction(() => document.querySelector('#main h1')
          && !/Loading/.test(document.querySelector('#main').innerText));""",
        part=part,
    )


def text(browser: Browser, where: str = "#main") -> str:
    found: str = browser.run("return page.locator(where).innerText()", where=where)
    return found


def until_text(browser: Browser, wanted: str, where: str = "#main") -> None:
    browser.run(
        """await page.waitForFunction(
          ([where, wanted]) => document.querySelector(where)?.innerText.includes(wanted), [where, wanted])""",
        where=where,
        wanted=wanted,
    )


def assert_sound(browser: Browser, *, refusals: bool = False) -> None:
    """No violation of the policy, and no error in the console but answers that refuse, where a test asks for them."""
    faults = browser.run("return faults")
    assert [one for one in faults if not (refusals and "Failed to load resource" in one)] == []
    assert browser.run("return page.evaluate(() => violations)") == []
