"""The reference of the API in a real browser: every operation of the document, and nothing from elsewhere."""

from __future__ import annotations

import pytest
from support.browser import Browser
from support.marks import walks
from support.processes import Api

from service.routes import OPERATIONS


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), *walks((1440, "dark"), (390, "dark"), (1440, "light"))])
def test_it_shows_every_operation_and_is_accessible(browser: Browser, api: Api, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    browser.open(f"http://127.0.0.1:{api.port}/docs", viewport=size, colorScheme=scheme)
    names = "[...document.querySelectorAll('main section')].map((one) => one.id)"
    browser.run(f"await page.waitForFunction((n) => {names}.length === n, count)", count=len(OPERATIONS))
    assert {*browser.run(f"return page.evaluate(() => {names})")} == {op.name for op in OPERATIONS}
    text = browser.run("return page.locator('#getTop').innerText()")
    assert "/v1/seasons/{sid}/leaderboard/top" in text and "1 to 1,000" in text and "invalid-limit" in text
    found = browser.run(
        """await page.evaluate(axe);
        const runOnly = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];
        const result = await page.evaluate((options) => axe.run(document, options), { runOnly });
        return result.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]);"""
    )
    assert found == []
    assert browser.run("return page.evaluate(() => document.documentElement.scrollWidth)") <= width
    assert browser.run("return faults") == []
    assert browser.run("return page.evaluate(() => violations)") == []
