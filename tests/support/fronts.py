"""Reverse proxies in front of the API, with the configurations that docs/ops/proxies.md shows."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final

import msgspec

from support.absent import absent
from support.certificates import write_certificate
from support.http import Http, free_port
from support.repository import REPOSITORY
from support.waiting import eventually

PAGE: Final = REPOSITORY / "docs" / "ops" / "proxies.md"
FIRST, SECOND = "10.0.0.5:8080", "10.0.0.6:8080"
"""The two API hosts of the page."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of proxy: its program, the name of its file, the page's texts for place and certificate, its arguments.

    `around` is the configuration that the page leaves out, with BLOCK for that of the page.
    """

    program: str
    file: str
    listen: tuple[str, str]
    certificate: Mapping[str, str]
    words: tuple[str, ...]
    around: str = "BLOCK"


KINDS: Final = {
    "haproxy": Kind(
        "haproxy",
        "haproxy.cfg",
        ("bind :443", "bind 127.0.0.1:{port}"),
        {"/etc/haproxy/leaderboard.pem": "both.pem"},
        ("-db", "-f", "{file}"),
    ),
    "nginx": Kind(
        "nginx",
        "nginx.conf",
        ("listen 443", "listen 127.0.0.1:{port}"),
        {
            "/etc/nginx/leaderboard/certificate.pem": "server.pem",
            "/etc/nginx/leaderboard/key.pem": "server.key",
        },
        ("-e", "stderr", "-p", "{directory}", "-c", "{file}"),
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\n"
        "http {\naccess_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n"
        "uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\nBLOCK\n}\n",
    ),
    "caddy": Kind(
        "caddy",
        "Caddyfile",
        ("leaderboard.example.com", "https://127.0.0.1:{port}"),
        {"/etc/caddy/certificate.pem": "server.pem", "/etc/caddy/key.pem": "server.key"},
        ("run", "--adapter", "caddyfile", "--config", "{file}"),
        "{\nadmin off\nauto_https disable_redirects\n}\nBLOCK",
    ),
}


class HttpsClient(Http):
    """One keep-alive connection through TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, timeout_s: float = 20.0) -> None:
        super().__init__(port, timeout_s)
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout_s, context=context)


class Front(msgspec.Struct, frozen=True):
    """A running proxy: its kind, its port, and a context that trusts its certificate."""

    kind: str
    port: int
    context: ssl.SSLContext

    def client(self) -> HttpsClient:
        """A connection of its own."""
        return HttpsClient(self.port, self.context)


def block_of_page(kind: str) -> str:
    """The configuration that the page shows for this kind of proxy."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@contextmanager
def front(
    kind: str, directory: Path, first: int, second: int, changes: Mapping[str, str] | None = None
) -> Iterator[Front]:
    """Run the proxy of the page in front of two local ports. `changes` are further texts of the page and others."""
    chosen = KINDS[kind]
    program = which(chosen.program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        absent(f"{chosen.program} is not installed")
    write_certificate(directory, "server")
    (directory / "both.pem").write_bytes(b"".join((directory / f"server.{end}").read_bytes() for end in ("pem", "key")))
    port = free_port()
    replaced = {
        chosen.listen[0]: chosen.listen[1].format(port=port),
        FIRST: f"127.0.0.1:{first}",
        SECOND: f"127.0.0.1:{second}",
        **{text: str(directory / name) for text, name in chosen.certificate.items()},
        **(changes or {}),
    }
    text = block_of_page(kind)
    for old, new in replaced.items():
        assert old in text, f"{PAGE.name} does not say {old!r}"
        text = text.replace(old, new)
    file, log = directory / chosen.file, directory / "log"
    file.write_text(chosen.around.replace("BLOCK", text))
    words = [word.format(file=file, directory=directory) for word in chosen.words]
    env = {**os.environ, "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    context = ssl.create_default_context(cafile=directory / "server.pem")
    with (
        log.open("wb") as output,
        subprocess.Popen([program, *words], stdout=output, stderr=output, env=env, cwd=directory) as process,
    ):
        try:
            made = Front(kind, port, context)

            def serves() -> bool:
                assert process.poll() is None, log.read_text()
                return answers(made)

            eventually(serves, tell=log.read_text)
            yield made
        finally:
            process.terminate()
            process.wait(30)


def answers(made: Front) -> bool:
    """Whether a request gets through to an API."""
    try:
        with made.client() as client:
            return client.get("/livez").status == 200
    except OSError:
        return False
