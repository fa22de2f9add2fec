"""Reading `/metrics` with the client library's own parser."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Final

from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """All series at one moment."""

    def __init__(self, text: str) -> None:
        self.families: Final = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: Final = [s for family in self.families.values() for s in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def names(self) -> set[str]:
        """Names of all series, as an expression has them."""
        return {s.name for s in self.samples}


def scrape(port: int) -> Scrape | None:
    """The series of the exporter on this port; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return Scrape(answer.read().decode())
    except (ConnectionError, urllib.error.URLError):
        return None
