"""The machine under test."""

from __future__ import annotations

from pathlib import Path

from bench.system import machine


def test_the_file_system_is_that_of_the_longest_mount_point() -> None:
    mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n/dev/vdb /var/tmp/data xfs rw 0 0\n"
    assert machine.find_file_system(Path("/var/tmp"), mounts) == "tmpfs"
    assert machine.find_file_system(Path("/var/tmp/data/1"), mounts) == "xfs"
    assert machine.find_file_system(Path("/vary"), mounts) == "ext4"
