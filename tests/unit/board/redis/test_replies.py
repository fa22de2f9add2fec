"""Error replies: those about the server are told from those about one key, for both of the clients' forms."""

from __future__ import annotations

import hiredis
import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from board.redis.replies import (
    NodeUnavailable,
    RedisRefused,
    code_of,
    concerns_server,
    describe,
    is_not_master,
    parse_info,
    raise_server_error,
)

SERVER = (
    "OOM command not allowed when used memory > 'maxmemory'. script: 8d3c, on @user_script:36.",
    "READONLY You can't write against a read only replica. script: 8d3c, on @user_script:36.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOPERM User lb has no permissions to run the 'evalsha' command",
    "ERR ACL failure in script: User lb has no permissions to run the 'zadd' command script: 8d3c, on @user_script:58.",
    "ERR The user executing the script can't run this command or subcommand script: 94b6, on @user_script:78.",
    "ERR unknown command 'EVALSHA_RO', with args beginning with: 'x'",
    "ERR Unknown Redis command called from script script: 8d3c, on @user_script:58.",
    "MOVED 15572 127.0.0.1:6622",
    "ASK 15572 127.0.0.1:6622",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN Hash slot not served",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "MASTERDOWN The master is away and replica-serve-stale-data is set to 'no'.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOREPLICAS Not enough good replicas to write.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "NOSCRIPT No matching script.",
)
DATA = (
    "WRONGTYPE Operation against a key holding the wrong kind of value script: 8d3c, on @user_script:58.",
    "ERR value is not a valid float",
    "ERR user_script:44: attempt to compare number with nil script: 8d3c, on @user_script:44.",
)


@pytest.mark.parametrize("text", (*SERVER, *DATA))
def test_every_form_of_a_reply_is_judged_alike(text: str) -> None:
    expected = text in SERVER
    parsed = BaseParser.parse_error(text)
    assert isinstance(parsed, ResponseError)
    for reply in (parsed, hiredis.ReplyError(text)):
        assert concerns_server(reply) is expected, repr(reply)
        assert code_of(reply) == text.split(" ")[0]
        assert describe(reply) == text


@pytest.mark.parametrize("text", ["LOADING Redis is loading the dataset in memory", "NOAUTH Authentication required."])
def test_errors_that_redis_py_takes_for_a_lost_connection_need_no_judgement(text: str) -> None:
    assert isinstance(BaseParser.parse_error(text), RedisConnectionError)
    assert concerns_server(hiredis.ReplyError(text))


def test_a_key_of_another_type_is_none_of_the_servers_whatever_the_text() -> None:
    assert not concerns_server(hiredis.ReplyError("WRONGTYPE command not allowed"))


def test_a_class_is_enough() -> None:
    assert concerns_server(OutOfMemoryError("command not allowed")) and concerns_server(ReadOnlyError("x"))


@pytest.mark.parametrize("text", SERVER)
def test_replies_of_a_node_that_is_no_master(text: str) -> None:
    expected = text.split(" ")[0] in ("READONLY", "MASTERDOWN", "UNBLOCKED")
    reply = BaseParser.parse_error(text)
    assert isinstance(reply, ResponseError)
    assert is_not_master(reply) is expected and is_not_master(hiredis.ReplyError(text)) is expected


def test_the_first_error_about_the_server_is_raised() -> None:
    about_a_key = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    raise_server_error(b"OOM", None, about_a_key)
    with pytest.raises(OutOfMemoryError):
        raise_server_error(b"1", about_a_key, OutOfMemoryError("first"), ReadOnlyError("second"))


def test_a_node_that_is_away_is_told_in_its_own_words() -> None:
    away = NodeUnavailable("no node has slot 7")
    assert describe(away) == "no node has slot 7" and concerns_server(away) and not is_not_master(away)


def test_the_error_of_a_refusal_has_the_reply_and_its_code() -> None:
    reply = BaseParser.parse_error("OOM command not allowed when used memory > 'maxmemory'.")
    assert isinstance(reply, OutOfMemoryError)
    refused = RedisRefused(reply)
    assert refused.reply is reply
    assert str(refused) == "Redis refused: OOM command not allowed when used memory > 'maxmemory'."


def test_lines_of_info_have_a_field_and_all_that_follows() -> None:
    info = b"# Server\r\nredis_version:7.2.4\r\nos:Linux: x86\r\n\r\nempty:\r\nbytes:\xff\r\n"
    assert parse_info(info) == {"redis_version": "7.2.4", "os": "Linux: x86", "empty": "", "bytes": "\ufffd"}
