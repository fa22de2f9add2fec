"""A node's own description: which nodes boards can be kept on."""

from __future__ import annotations

import hiredis
import pytest

from board.redis.node import ClusterNode, Node, WrongNode, check_hello, parse_hello


def hello(**fields: str) -> list[bytes | int | list[bytes]]:
    """A reply to HELLO, as RESP2 has it."""
    told = {"server": "redis", "version": "7.0.15", "proto": 2, "id": 4, "mode": "standalone", "role": "master"}
    reply: list[bytes | int | list[bytes]] = []
    for name, value in {**told, **fields}.items():
        reply += [name.encode(), value if isinstance(value, int) else value.encode()]
    return [*reply, b"modules", []]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": "7.0.0"},
        {"version": "10.1"},
        {"server": "valkey", "version": "9.0.1"},
        {"version": "255.255.255"},
        {"version": "unstable"},
    ],
)
def test_nodes_that_will_do(fields: dict[str, str]) -> None:
    assert check_hello(hello(**fields)) == parse_hello(hello(**fields))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"version": "6.2.14"}, "Redis is version 6.2.14; 7.0 is the oldest supported version"),
        ({"version": "6.9"}, "7.0 is the oldest"),
        ({"role": "replica"}, "Redis is a replica; REDIS_URL must lead to the master"),
        ({"server": "valkey", "version": "8.0.1", "role": "replica"}, "Valkey is a replica"),
        ({"mode": "cluster"}, "cluster mode"),
        ({"mode": "sentinel"}, "sentinel mode"),
    ],
)
def test_nodes_that_are_refused(fields: dict[str, str], says: str) -> None:
    with pytest.raises(WrongNode, match=says) as refused:
        check_hello(hello(**fields))
    assert type(refused.value) is (ClusterNode if says == "cluster mode" else WrongNode)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"mode": "cluster"}, ""),
        ({"mode": "cluster", "role": "replica"}, "Redis is a replica"),
        ({"mode": "cluster", "version": "6.2.14"}, "Redis is version 6.2.14"),
        ({"mode": "standalone"}, "Redis runs in standalone mode, and was a node of a cluster before"),
        ({"mode": "?"}, r"Redis runs in \? mode, and was a node of a cluster before"),
        ({"mode": "sentinel"}, "Redis runs in sentinel mode"),
    ],
)
def test_a_node_of_a_cluster_has_to_be_one(fields: dict[str, str], says: str) -> None:
    if not says:
        assert check_hello(hello(**fields), cluster=True) == parse_hello(hello(**fields))
        return
    with pytest.raises(WrongNode, match=says) as refused:
        check_hello(hello(**fields), cluster=True)
    assert type(refused.value) is WrongNode


def test_a_server_without_hello_is_too_old() -> None:
    with pytest.raises(WrongNode, match=r"older than 6\.0; 7\.0 is the oldest"):
        check_hello(hiredis.ReplyError("ERR unknown command `HELLO`, with args beginning with: "))


def test_a_user_without_the_right_is_not_refused() -> None:
    assert check_hello(hiredis.ReplyError("NOPERM User lb has no permissions to run the 'hello' command")) is None


def test_a_node_of_a_cluster_is_complained_of_where_none_is_asked_for() -> None:
    assert parse_hello(hello(mode="cluster")).complaint() == "Redis runs in cluster mode"
    assert parse_hello(hello()).complaint() == ""


@pytest.mark.parametrize(
    "error", ["NOAUTH HELLO must be called with the client already authenticated", "WRONGPASS invalid", "BUSY a script"]
)
def test_other_errors_are_refused(error: str) -> None:
    with pytest.raises(WrongNode, match=f"Redis refused HELLO: {error.partition(' ')[0]}"):
        check_hello(hiredis.ReplyError(error))


def test_a_short_reply_is_a_node_of_which_little_is_known() -> None:
    assert parse_hello([b"version", b"7.2.4"]) == Node("?", "7.2.4", "?", "?")
    assert parse_hello([b"version", b"7.2.4", b"mode"]) == Node("?", "7.2.4", "?", "?")
    assert check_hello([b"version", b"7.2.4"]) is not None


def test_a_node_never_changes() -> None:
    with pytest.raises(AttributeError):
        parse_hello(hello()).role = "replica"  # type: ignore[misc]
