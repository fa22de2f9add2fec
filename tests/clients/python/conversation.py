"""The conversation of README.md through a client made by openapi-python-client.

python conversation.py URL KEY SEASON, with the made package `leaderboard_client` on the path.
"""

import sys
import time

from leaderboard_client import AuthenticatedClient
from leaderboard_client.api.boards import get_around, get_rank, get_top
from leaderboard_client.api.health import get_ready
from leaderboard_client.api.keys import create_key, revoke_key, rotate_key
from leaderboard_client.api.seasons import reset_season
from leaderboard_client.api.submissions import submit_score, submit_scores
from leaderboard_client.models import (
    Accepted,
    Around,
    Batch,
    BatchAnswer,
    Deleted,
    Key,
    NewKey,
    PlayerRank,
    ProblemDetails,
    Readiness,
    Rotation,
    Submission,
    Top,
    Wanted,
    WantedScopesItem,
)
from leaderboard_client.types import UNSET

url, key, season = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)


def submit(user: str, delta: int) -> Accepted:
    done = submit_score.sync(season, client=client, body=Submission(user_id=user, delta=delta))
    assert isinstance(done, Accepted), done
    assert done.queued is True
    return done


def rank_of(user: str, version: int) -> PlayerRank:
    deadline = time.monotonic() + 20
    while True:
        found = get_rank.sync(season, client=client, user_id=user)
        if isinstance(found, PlayerRank) and found.version >= version:
            return found
        assert time.monotonic() < deadline, found


ada = submit("ada", 120)
assert (ada.season_id, ada.user_id, ada.score) == (season, "ada", 120)
grace = submit("grace", 300)
rank_of("grace", grace.version)
rank = rank_of("ada", ada.version)
assert (rank.rank, rank.score, rank.version) == (2, 120, ada.version)

top = get_top.sync(season, client=client, limit=3)
assert isinstance(top, Top)
assert [(item.user_id, item.score) for item in top.items] == [("grace", 300), ("ada", 120)]
assert get_top.sync(season, client=client) == top
around = get_around.sync(season, client=client, user_id="ada", range_=1)
assert isinstance(around, Around)
assert [(item.rank, item.user_id) for item in around.items] == [(1, "grace"), (2, "ada")]

refused = submit_score.sync(season, client=client, body=Submission(user_id="ada", delta=0))
assert isinstance(refused, ProblemDetails) and refused.code == "invalid-delta"

largest = submit("big", 2**63 - 1)
assert largest.score == 2**63 - 1

named = Submission(user_id="ada", delta=1, submission_id="m-1")
batch = submit_scores.sync(
    season, client=client, body=Batch(submissions=[named, named, Submission(user_id="ada", delta=0)])
)
assert isinstance(batch, BatchAnswer)
assert [(one.status, one.score, one.code) for one in batch.results] == [
    (202, 121, UNSET),
    (202, 121, UNSET),
    (400, UNSET, "invalid-delta"),
]

made = create_key.sync(client=client, body=Wanted(name="website", scopes=[WantedScopesItem.READ]))
assert isinstance(made, NewKey) and made.key.startswith("lb_")
rotated = rotate_key.sync(made.made.id, client=client, body=Rotation())
assert isinstance(rotated, NewKey) and rotated.made.scopes == made.made.scopes
revoked = revoke_key.sync(made.made.id, client=client)
assert isinstance(revoked, Key) and revoked.revoked_at

reset = reset_season.sync(season, client=client)
assert isinstance(reset, Deleted) and reset.deleted is True
ready = get_ready.sync(client=client)
assert isinstance(ready, Readiness) and ready.status.value == "ready"
