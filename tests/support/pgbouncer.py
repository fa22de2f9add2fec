"""PgBouncer in front of the servers of the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctl.embedded import Embedded
from support.absent import absent
from support.http import free_port
from support.waiting import eventually
from support.world import World, socket_directory

DIRECTORIES = "/usr/sbin:/usr/local/sbin:/sbin"


@contextmanager
def pgbouncer(servers: Embedded, world: World, pool_mode: str) -> Iterator[str]:
    """Run PgBouncer with this `pool_mode`; the URL that leads through it to the world's schema.

    Options of a connection are ignored, as is usual: the role's search path leads to the schema of its name.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:{DIRECTORIES}")
    if program is None:
        absent("no pgbouncer here")
    sockets = Path(socket_directory(servers))
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="lb-test-"))
    try:
        directory.chmod(0o755)
        users, settings, log = directory / "users.txt", directory / "pgbouncer.ini", directory / "log"
        users.write_text(f'"{world.name}" ""\n')
        settings.write_text(
            f"[databases]\n* = host={sockets} port=5432\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\nignore_startup_parameters = options\n"
            f"pool_mode = {pool_mode}\ndefault_pool_size = 40\n"
        )
        # It refuses to run as root, and has to reach the sockets.
        owner = sockets.stat()
        account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
        with (
            log.open("wb") as output,
            subprocess.Popen([program, settings], stdout=output, stderr=output, cwd="/", **account) as process,
        ):
            try:
                eventually(lambda: process.poll() is not None or "process up" in log.read_text(), tell=log.read_text)
                assert process.poll() is None, log.read_text()
                yield f"postgresql://{world.name}@127.0.0.1:{port}/leaderboard"
            finally:
                process.terminate()
    finally:
        shutil.rmtree(directory)
