"""REDIS_URL: one parser for both clients; an option that is not known is refused by name."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from support.certificates import write_certificate

from board.errors import InvalidSetting
from board.redis.async_redis import AsyncRedis
from board.redis.options import Address, RedisOptions, TlsOptions, parse_redis_url
from board.redis.sync_redis import SyncRedis


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://", RedisOptions()),
        ("redis://h", RedisOptions(host="h")),
        ("redis://h:7/3", RedisOptions(host="h", port=7, db=3)),
        ("redis://h?db=4", RedisOptions(host="h", db=4)),
        ("redis://h/3?db=4", RedisOptions(host="h", db=4)),
        ("redis://[::1]:7", RedisOptions(host="::1", port=7)),
        ("redis://:p%40ss@h", RedisOptions(host="h", password="p@ss")),
        ("redis://ada:p@h", RedisOptions(host="h", username="ada", password="p")),
        ("redis://h?username=ada&password=p%20q", RedisOptions(host="h", username="ada", password="p q")),
        ("unix:///run/r.sock", RedisOptions(path="/run/r.sock")),
        ("unix://ada:p@/run/r.sock?db=3", RedisOptions(path="/run/r.sock", db=3, username="ada", password="p")),
        ("rediss://h", RedisOptions(host="h", tls=TlsOptions())),
        (
            "rediss://h?ssl_ca_certs=/ca.pem&ssl_ca_path=/cas&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            RedisOptions(
                host="h", tls=TlsOptions(ca_certs="/ca.pem", ca_path="/cas", certfile="/c.pem", keyfile="/k.pem")
            ),
        ),
        ("rediss://h?ssl_cert_reqs=None", RedisOptions(host="h", tls=TlsOptions(cert_reqs="none"))),
        (
            "redis://ada:p@h1:7,h2,[::1]:8/3",
            RedisOptions(
                host="h1", port=7, db=3, username="ada", password="p", more=(Address("h2", 6379), Address("::1", 8))
            ),
        ),
        ("rediss://h1,h2", RedisOptions(host="h1", more=(Address("h2", 6379),), tls=TlsOptions())),
        (
            "redis+sentinel://:p@h1:7,h2:8/boards?db=3&sentinel_username=eve&sentinel_password=q",
            RedisOptions(
                host="h1",
                port=7,
                db=3,
                more=(Address("h2", 8),),
                password="p",
                sentinel="boards",
                sentinel_username="eve",
                sentinel_password="q",
            ),
        ),
        ("rediss+sentinel://h/boards", RedisOptions(host="h", port=26379, sentinel="boards", tls=TlsOptions())),
        ("rediss://h?ssl_check_hostname=no", RedisOptions(host="h", tls=TlsOptions(check_hostname=False))),
    ],
)
def test_what_a_url_says(url: str, options: RedisOptions) -> None:
    assert parse_redis_url(url) == options


BAD = [
    ("", "REDIS_URL is empty; set it, or start everything with `leaderboard run`"),
    ("http://h", "REDIS_URL cannot be used: "),
    ("redis://h:99999", "REDIS_URL cannot be used: Port out of range 0-65535"),
    ("redis://h?db=x", "REDIS_URL cannot be used: Invalid value for 'db' in connection URL."),
    ("redis://h?socket_timeout=5", "REDIS_URL: unknown option 'socket_timeout'"),
    ("redis://h?protocol=3", "REDIS_URL: unknown option 'protocol'"),
    ("redis://h?tls=1", "REDIS_URL: unknown option 'tls'"),
    ("redis://h?credentials=x", "REDIS_URL: unknown option 'credentials'"),
    ("redis://h?connection_class=x", "REDIS_URL: unknown option 'connection_class'"),
    ("rediss://h?ssl_ciphers=x", "REDIS_URL: unknown option 'ssl_ciphers'"),
    ("redis://h?ssl_ca_certs=/ca.pem", "REDIS_URL: option ssl_ca_certs needs rediss://"),
    ("unix:///run/r.sock?ssl_cert_reqs=none", "REDIS_URL: option ssl_cert_reqs needs rediss://"),
    ("rediss://h?ssl_cert_reqs=maybe", "REDIS_URL: ssl_cert_reqs must be one of none, optional, required"),
    ("rediss://h?ssl_keyfile=/k.pem", "REDIS_URL: ssl_keyfile needs ssl_certfile"),
    ("unix://", "REDIS_URL names no socket path after unix://"),
    ("unix:///a.sock,/b.sock", "REDIS_URL: unix:// is the socket of one Redis; several hosts need redis://"),
    ("redis://h1,,h2", "REDIS_URL: a host of the list is empty"),
    ("redis://h1,h2:99999", "REDIS_URL cannot be used: Port out of range 0-65535"),
    ("redis://h1:7,h2,h1:7", "REDIS_URL names an address twice"),
    ("redis+sentinel://h1,h2", "REDIS_URL: redis+sentinel:// needs the name of the master: …://host:26379/NAME"),
    ("redis+sentinel://h1/a/b", "REDIS_URL: redis+sentinel:// needs the name of the master: …://host:26379/NAME"),
    ("redis+sentinel://h/a?sentinel_username=eve", "REDIS_URL: sentinel_username needs sentinel_password"),
    ("redis://h?sentinel_password=q", "REDIS_URL: option sentinel_password needs redis+sentinel://"),
    ("redis://h?sentinel=a", "REDIS_URL: unknown option 'sentinel'"),
    ("redis://h?more=a", "REDIS_URL: unknown option 'more'"),
    ("redis://h/boards", "REDIS_URL: the path is the number of a database, behind the last host"),
    ("redis://h1:1/0,h2:2/0", "REDIS_URL: the path is the number of a database, behind the last host"),
    ("rediss://h/%D9%A3", "REDIS_URL: the path is the number of a database"),
    ("redis://u:p@h1,u:p@h2", "REDIS_URL: all hosts have one user and password"),
    ("redis+sentinel://u:p@h1,u:p@h2/boards", "REDIS_URL: all hosts have one user and password"),
    ("redis+sentinel:///boards", "REDIS_URL: redis+sentinel:// needs the address of a Sentinel"),
]


@pytest.mark.parametrize(("url", "text"), BAD)
def test_both_clients_refuse_the_same_urls_in_the_same_words(url: str, text: str) -> None:
    async def make_async() -> None:
        AsyncRedis(url, deadline_s=1, name="test")

    def make_sync() -> None:
        SyncRedis(url, "test")

    for make in (lambda: asyncio.run(make_async()), make_sync):
        with pytest.raises(InvalidSetting) as caught:
            make()
        said = str(caught.value)
        assert said.startswith(text) and "\n" not in said


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (RedisOptions(), ()),
        (RedisOptions(password="p"), ("p",)),
        (RedisOptions(username="ada", password="p"), ("ada", "p")),
        (RedisOptions(username="ada"), ("ada", "")),
    ],
)
def test_credentials_are_those_of_auth(options: RedisOptions, arguments: tuple[str, ...]) -> None:
    assert options.credentials == arguments


@pytest.mark.parametrize(
    ("tls", "mode", "hostname"),
    [
        ({}, ssl.CERT_REQUIRED, True),
        ({"check_hostname": False}, ssl.CERT_REQUIRED, False),
        ({"cert_reqs": "optional"}, ssl.CERT_OPTIONAL, True),
        ({"cert_reqs": "none"}, ssl.CERT_NONE, False),
        ({"cert_reqs": "none", "check_hostname": True}, ssl.CERT_NONE, False),
    ],
)
def test_a_context_checks_what_the_options_say(tls: dict[str, Any], mode: ssl.VerifyMode, hostname: bool) -> None:
    context = TlsOptions(**tls).context()
    assert context.verify_mode == mode and context.check_hostname is hostname


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("redis://h", ["h:6379"]),
        ("redis://[::1]:7,h2", ["[::1]:7", "h2:6379"]),
        ("unix:///run/r.sock", ["/run/r.sock"]),
        ("redis+sentinel://h1,h2:8/boards", ["h1:26379", "h2:8"]),
    ],
)
def test_addresses_are_told_as_they_can_be_typed(url: str, addresses: list[str]) -> None:
    assert [str(address) for address in parse_redis_url(url).addresses] == addresses


def test_sentinels_have_credentials_of_their_own_and_no_database() -> None:
    options = parse_redis_url("rediss+sentinel://ada:p@h/boards?db=3&sentinel_username=eve&sentinel_password=q")
    ours = options.for_sentinels()
    assert (options.credentials, options.db, ours.credentials, ours.db) == (("ada", "p"), 3, ("eve", "q"), 0)
    assert (ours.addresses, ours.tls) == (options.addresses, TlsOptions())


@pytest.mark.parametrize("options", [RedisOptions(tls=TlsOptions()), TlsOptions()], ids=["redis", "tls"])
def test_options_never_change_and_are_named(options: Any) -> None:
    with pytest.raises(AttributeError):
        setattr(options, options.__struct_fields__[0], "other")
    with pytest.raises(TypeError):
        type(options)("h")


def test_an_unknown_option_is_told_by_its_beginning() -> None:
    with pytest.raises(InvalidSetting) as refused:
        parse_redis_url(f"redis://h?{'x' * 61}=1")
    assert str(refused.value) == f"REDIS_URL: unknown option '{'x' * 60}'"


def test_authorities_of_the_url_replace_those_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_certificate(tmp_path, "system")
    write_certificate(tmp_path, "ours")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    (tmp_path / "none").mkdir()

    def names(tls: TlsOptions) -> list[str]:
        return [dict(one["subject"][0])["commonName"] for one in tls.context().get_ca_certs()]

    assert names(TlsOptions()) == ["system"]
    assert names(TlsOptions(ca_certs=str(tmp_path / "ours.pem"))) == ["ours"]
    assert names(TlsOptions(ca_path=str(tmp_path / "none"))) == []


def test_a_certificate_has_its_key_in_the_same_file_or_in_another_one(tmp_path: Path) -> None:
    write_certificate(tmp_path, "a")
    certificate, key, both = (tmp_path / name for name in ("a.pem", "a.key", "both.pem"))
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    TlsOptions(certfile=str(certificate), keyfile=str(key)).context()
    TlsOptions(certfile=str(both)).context()
    with pytest.raises(ssl.SSLError):
        TlsOptions(certfile=str(certificate)).context()


def test_without_a_number_the_database_is_the_first() -> None:
    assert (RedisOptions().db, RedisOptions().port) == (0, 6379)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        TlsOptions(ca_certs=str(tmp_path / "none.pem")).context()
