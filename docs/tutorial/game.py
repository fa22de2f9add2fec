"""A small game back end. Python 3.11 or later, standard library only."""

import json
import os
import random
import sys
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

URL = os.environ.get("LEADERBOARD_URL", "http://127.0.0.1:8080")
SEASON = f"/v1/seasons/{quote(os.environ.get('GAME_SEASON', 'spring'), safe='')}"


class LeaderboardError(Exception):
    """A request without success: its status (0: no answer came) and the code of the problem."""

    def __init__(self, status, code):
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


def send(method, path, body=None, key="GAME_KEY"):
    """Send one request; return its status, the seconds of Retry-After, and the decoded body."""
    headers = {"Authorization": f"Bearer {os.environ[key]}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(URL + path, data, headers, method=method), timeout=5) as answer:
            return answer.status, 0, json.load(answer)
    except HTTPError as error:
        with error:
            problem = error.headers.get_content_type() == "application/problem+json"
            details = json.load(error) if problem else {"code": "not-from-the-leaderboard"}
            return error.code, int(error.headers.get("Retry-After", 0)), details
    except (OSError, HTTPException):
        return 0, 0, {"code": "no-answer"}


NOTHING_DONE = {429, 503}
OUTCOME_UNKNOWN = {0, 502, 504}


def ask(method, path, body=None, *, repeatable=False, key="GAME_KEY"):
    """Send a request until it succeeds. After an unknown outcome only a repeatable one is sent again."""
    for attempt in range(8):
        status, retry_after, answer = send(method, path, body, key)
        if 200 <= status < 300:
            return answer
        if status not in NOTHING_DONE and not (repeatable and status in OUTCOME_UNKNOWN):
            break
        time.sleep(retry_after + random.uniform(0, min(5, 0.1 * 2**attempt)))
    raise LeaderboardError(status, answer["code"])


def play(file):
    """Report finished matches, one JSON object a line. Reporting a file again counts nothing twice."""
    for line in file:
        match = json.loads(line)
        submission = {"userId": match["player"], "delta": match["points"], "submissionId": match["id"]}
        accepted = ask("POST", f"{SEASON}/scores", submission, repeatable=True)
        print(f"{match['id']}: {accepted['userId']} has {accepted['score']}")


def import_matches(file):
    """Report many matches, a thousand a request."""
    matches = [json.loads(line) for line in file]
    for at in range(0, len(matches), 1_000):
        items = [
            {"userId": match["player"], "delta": match["points"], "submissionId": match["id"]}
            for match in matches[at : at + 1_000]
        ]
        for attempt in range(8):
            results = ask("POST", f"{SEASON}/scores/batch", {"submissions": items}, repeatable=True)["results"]
            if all(result["status"] not in NOTHING_DONE | OUTCOME_UNKNOWN for result in results):
                break
            time.sleep(random.uniform(0, min(5, 0.1 * 2**attempt)))
        for item, result in zip(items, results, strict=True):
            counted = result["status"] == 202
            print(f"{item['submissionId']}: {result['score'] if counted else result['code']}")


def screen(player):
    """Show the podium, and the player between the neighbours."""
    board = f"{SEASON}/leaderboard"
    for rank, item in enumerate(ask("GET", f"{board}/top?limit=3", repeatable=True)["items"], 1):
        print(f"{rank:3} {item['userId']:12} {item['score']:>20}")
    try:
        query = urlencode({"userId": player, "range": 1})
        around = ask("GET", f"{board}/around?{query}", repeatable=True)["items"]
    except LeaderboardError as error:
        if error.code not in ("season-not-found", "player-not-found"):
            raise
        print(f"{player} has not played yet")
        return
    print("    --")
    for item in around:
        here = "<" if item["userId"] == player else ""
        print(f"{item['rank']:3} {item['userId']:12} {item['score']:>20} {here}".rstrip())


def wait_for(player, version):
    """Wait until the board shows a player's submission that was accepted with this version."""
    query = urlencode({"userId": player})
    for _ in range(500):
        try:
            if ask("GET", f"{SEASON}/leaderboard/rank?{query}", repeatable=True)["version"] >= version:
                return
        except LeaderboardError as error:
            if error.status != 404:
                raise
        time.sleep(0.01)
    raise TimeoutError(f"the board does not show version {version} of {player}")


def bonus(player, points):
    """Give points that only this call knows of, and show the new rank."""
    match_id = f"bonus-{time.time_ns()}-{random.getrandbits(64):x}"
    submission = {"userId": player, "delta": int(points), "submissionId": match_id}
    accepted = ask("POST", f"{SEASON}/scores", submission, repeatable=True)
    wait_for(player, accepted["version"])
    screen(player)


def new_season():
    """Empty the board. The key with the scope admin is none of the game's."""
    ask("DELETE", SEASON, key="ADMIN_KEY")
    print("a new season has begun")


def main(command, *arguments):
    commands = {"screen": screen, "bonus": bonus, "new-season": new_season}
    readers = {"play": play, "import": import_matches}
    try:
        if command in readers:
            with open(arguments[0], encoding="utf-8") as file:
                readers[command](file)
        else:
            commands[command](*arguments)
    except LeaderboardError as error:
        sys.exit(f"the leaderboard answered {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
