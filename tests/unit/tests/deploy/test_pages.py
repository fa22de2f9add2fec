"""The test of a deployment types every command that the pages of docs/ops show for a host."""

from __future__ import annotations

from deploy import pages


def test_the_walk_has_every_command_of_the_pages_and_no_other() -> None:
    typed = {shown for shown, _ in pages.WALK}
    assert pages.shown_on_hosts() == typed | {pages.SHOWN_BY_PGBACKREST} | pages.OF_SEVERAL_HOSTS
