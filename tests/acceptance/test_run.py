"""The whole system as a person starts it: `leaderboard run` with its own servers, many players, one Ctrl-C."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading

import pytest
from support.house import House
from support.http import Http, free_port
from support.processes import children_of, commandline, gone, run
from support.waiting import eventually

pytestmark = pytest.mark.acceptance


@pytest.mark.walk
def test_many_players_in_many_seasons_and_every_rank_is_right(house: House) -> None:
    seasons = ["spring", "summer", "h\u00f6stcup", "2026-4", "one more"]
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    scores: dict[tuple[str, str], int] = {}
    reached: dict[tuple[str, str], int] = {}
    lock = threading.Lock()
    wrong: list[object] = []

    def player(number: int) -> None:
        rng = random.Random(seed + number)
        with Http(house.port) as http:
            for _ in range(150):
                season, user = rng.choice(seasons), f"player {rng.randrange(60)}"
                delta = rng.choice([1, 2, 5, -1, 10**6])
                answer = http.post(season, user, delta)
                if answer.status != 202:
                    wrong.append((answer.status, answer.body))
                    continue
                body = answer.json
                with lock:
                    scores[season, user] = scores.get((season, user), 0) + delta
                    reached[season, user] = max(reached.get((season, user), 0), body["version"])

    with house.start() as command:
        threads = [threading.Thread(target=player, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not wrong
        report = house.verified()
        assert (report["seasons"], report["players"]) == (len(seasons), len(scores))
        with Http(house.port) as http:
            for season in seasons:
                mine = {user: score for (name, user), score in scores.items() if name == season}
                # Best first, and among equals the earliest.
                board = sorted(mine, key=lambda user: (-mine[user], reached[season, user]))
                items = http.top(season, 1000).json["items"]
                assert [(i["userId"], i["score"]) for i in items] == [(user, mine[user]) for user in board]
                for rank, user in enumerate(board, 1):
                    found = http.rank(season, user).json
                    assert (found["rank"], found["score"]) == (rank, mine[user])
                middle = len(board) // 2
                window = http.around(season, board[middle], 3).json["items"]
                assert [i["userId"] for i in window] == board[max(0, middle - 3) : middle + 4]
        processes = children_of(command.process.pid)
        assert len(processes) >= 8, "two servers, API and workers, relays, janitor"
        assert command.stop(signal.SIGINT) == 0, command.text()
        gone(processes)


@pytest.mark.walk
def test_ctrl_c_while_players_post_loses_nothing_and_the_next_start_keeps_it(house: House) -> None:
    accepted: set[str] = set()
    stop = threading.Event()

    def player(number: int) -> None:
        n = 0
        while not stop.is_set():
            try:
                with Http(house.port) as http:
                    while not stop.is_set():
                        n += 1
                        if http.post("s", f"p{number} {n}", 1).status == 202:
                            accepted.add(f"p{number} {n}")
                        else:
                            stop.wait(0.01)
            except Exception as error:  # noqa: BLE001 - whatever a dying server does to its clients
                assert not isinstance(error, AssertionError)
                stop.wait(0.01)

    threads = [threading.Thread(target=player, args=(n,)) for n in range(4)]
    with house.start() as command:
        for thread in threads:
            thread.start()
        eventually(lambda: len(accepted) > 200, 30)
        processes = children_of(command.process.pid)
        assert command.stop(signal.SIGINT) == 0, command.text()
        stop.set()
        for thread in threads:
            thread.join(30)
        gone(processes)
    with house.start() as command:
        house.verified()
        with Http(house.port) as http:
            for user in sorted(accepted)[::7]:
                assert http.rank("s", user).status == 200
            # Every acknowledged one is there; one that was not answered may be.
            assert len(http.top("s", 1000).json["items"]) == 1000 or len(accepted) < 1000
        assert command.stop(signal.SIGTERM) == 0


@pytest.mark.walk
def test_kill_9_leaves_no_process_and_no_data_is_lost(house: House) -> None:
    with house.start() as command:
        with Http(house.port) as http:
            for n in range(30):
                assert http.post("s", f"p{n}", n + 1).status == 202
        processes = children_of(command.process.pid)
        command.stop(signal.SIGKILL)
        gone(processes)
    with house.start() as command:
        house.verified()
        with Http(house.port) as http:
            assert len(http.top("s", 1000).json["items"]) == 30
        second = run(["run"], {**house.env, "LEADERBOARD_BIND": f"127.0.0.1:{free_port()}"})
        assert second.returncode == 7, second.stderr
        assert command.stop() == 0


@pytest.mark.walk
def test_the_demo_brings_it_to_life_while_processes_die(house: House) -> None:
    with house.start() as command:
        arguments = ["demo", "--seconds", "3", "--rate", "200", "--json", "--url", f"http://127.0.0.1:{house.port}"]
        done = run(arguments, house.env)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["accepted"] > 300 and result["refused"] == 0
        assert house.verified()["seasons"] == len(result["seasons"]) == 4
        # Relays are killed; the supervisor puts others in their place, and what was posted meanwhile arrives.
        victims = {p for p in children_of(command.process.pid) if b"carry" in commandline(p)}
        assert victims
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        with Http(house.port) as http:
            assert http.post("demo", "afterwards", 10**9).status == 202
            eventually(lambda: http.rank("demo", "afterwards").status == 200, 20)
        house.verified()
        status = run(["status", "--json"], house.urls())
        assert status.returncode == 0 and json.loads(status.stdout)["pending"] == 0
        assert command.stop(signal.SIGINT) == 0


@pytest.mark.walk
def test_the_first_address_is_that_of_a_board_that_moves_also_after_its_players_were_killed(house: House) -> None:
    with house.start("--demo") as command:
        command.until(lambda: "Ctrl-C stops everything" in command.text())
        first = re.findall(r"http://\S+", command.text())[0]
        assert first == f"http://127.0.0.1:{house.port}/board/demo"
        assert "Simulated players move the board" in command.text()
        with Http(house.port) as http:
            assert http.get("/board/demo").status == 200

            def count_submissions() -> int:
                board = http.top("demo", 1000)
                return sum(item["score"] for item in board.json["items"]) if board.status == 200 else 0

            eventually(lambda: count_submissions() > 0, 30)
            (players,) = (p for p in children_of(command.process.pid) if b"demo" in commandline(p).split(b"\0"))
            os.kill(players, signal.SIGKILL)
            gone({players})
            before = count_submissions()
            eventually(lambda: count_submissions() > before, 30)
            assert http.get("/v1/seasons?limit=100").json["items"][0]["seasonId"] == "demo"
        processes = children_of(command.process.pid)
        assert command.stop(signal.SIGINT) == 0, command.text()
        gone(processes)
        assert "Traceback" not in command.text()


@pytest.mark.walk
def test_players_without_a_key_stay_away_from_a_server_that_asks_for_keys(house: House) -> None:
    house.env["LEADERBOARD_AUTH"] = "keys"
    with house.start("--demo") as command:
        command.until(lambda: "Ctrl-C stops everything" in command.text())
        assert "no demo: the server asks for keys, and LEADERBOARD_KEY is empty" in command.text()
        assert "demo` makes the board move" in command.text()
        assert not [p for p in children_of(command.process.pid) if b"demo" in commandline(p).split(b"\0")]
        assert command.stop() == 0
