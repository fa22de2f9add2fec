"""A browser for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.browser import Browser, browsing


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as made:
        yield made
