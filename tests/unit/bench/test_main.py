"""`python -m bench`: each command of the table can be called, and each is listed in ``--help``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.absent import absent

from bench import REPOSITORY
from bench.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "perf" and importlib.util.find_spec("pyperf") is None:
        absent("pyperf is not installed (extra bench)")
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"python -m bench {name}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("package", "arguments"), [("hdrh", []), ("hdrh", ["scale"]), ("pyperf", ["perf"]), ("rich", ["micro"])]
)
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(package: str, arguments: list[str]) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import bench.__main__ as m; sys.exit(m.main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"bench: the package {package} is not installed in ")
    assert "`make bench-tools` installs" in done.stderr and done.stderr.count("\n") == 1


def test_ctrl_c_ends_a_command_with_one_line() -> None:
    names = ["compare", "anatomy", "micro", "callgrind"]
    code = f"""
import sys, types
import bench.__main__ as m
def main(argv):
    raise KeyboardInterrupt
for name in {names!r}:
    sys.modules[m.COMMANDS[name][0]] = types.SimpleNamespace(main=main)
    print(name, m.main([name]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "".join(f"bench: interrupted\n{name} 130\n" for name in names)


def test_a_missing_module_of_ours_is_no_package_to_install() -> None:
    code = "import sys; sys.modules['bench.rows.rounds'] = None; import bench.__main__ as m; m.main([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr


MISSING = [
    (["--rounds", "1"], "pgbench, redis-benchmark, wrk; install with: apt install postgresql redis-tools wrk"),
    (["scale"], "wrk; install with: apt install wrk"),
    (["anatomy", "post"], "wrk, py-spy; install with: apt install wrk; make bench-tools"),
    (["evidence", "--anyway"], "git, pgbench, redis-benchmark, wrk, py-spy; install with: apt install git"),
    (["compare", "A", "B", "--only", "drain_1"], "git; install with: apt install git"),
    (["compare", "A", "B"], "git, pgbench, redis-benchmark, wrk; install with: apt install git postgresql redis-"),
    (["callgrind"], "valgrind; install with: apt install valgrind"),
]


def test_tools_that_are_missing_are_named_before_anything_is_measured(tmp_path: Path) -> None:
    calls = [arguments for arguments, _ in MISSING]
    # py-spy is also looked for beside the interpreter.
    code = f"import sys; sys.executable = {str(tmp_path / 'python')!r}; import bench.__main__ as m; "
    code += f"print(*(m.main(arguments) for arguments in {calls!r}))"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.stdout.split() == ["2"] * len(MISSING), done.stderr
    for line, (arguments, says) in zip(done.stderr.splitlines(), MISSING, strict=True):
        assert f"not installed: {says}" in line, arguments


def test_a_row_that_is_nginx_alone_needs_it() -> None:
    # It is also looked for in /usr/sbin, where this machine may have it.
    code = "import sys, bench.tools.measure as m, bench.__main__ as b; m.nginx_program = lambda: None; "
    done = subprocess.run(
        [sys.executable, "-c", code + "sys.exit(b.main(['--only', 'nginx']))"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "bench: not installed: nginx; install with: apt install nginx-light\n")


def unpacked(directory: Path) -> Path:
    """The code as an archive has it: without a repository."""
    for name in ("bench", "board", "ctl", "relay", "service", "_speedups"):
        shutil.copytree(REPOSITORY / name, directory / name)
    return directory


def bench(tree: Path, *arguments: str, prepare: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run `python -m bench` with the code of `tree`."""
    code = f"import sys; import bench.__main__ as m; {prepare}; sys.exit(m.main({list(arguments)!r}))"
    environment = os.environ | {"PYTHONPATH": str(tree), "LC_ALL": "C"}
    return subprocess.run([sys.executable, "-c", code], cwd=tree, env=environment, capture_output=True, text=True)


COMPARE = ("compare", "HEAD", "HEAD", "--only", "drain_1")
# The evidence needs more programs than a machine with a test may have.
EVIDENCE = "import bench.tools.evidence as e; e.require = lambda found: None"


@pytest.mark.parametrize(("arguments", "prepare"), [(COMPARE, "pass"), (("evidence",), EVIDENCE)])
def test_an_unpacked_archive_is_named_as_no_git_checkout(
    arguments: tuple[str, ...], prepare: str, tmp_path: Path
) -> None:
    tree = unpacked(tmp_path / "unpacked")
    done = bench(tree, *arguments, prepare=prepare)
    wanted = f"bench {arguments[0]}: {tree} is no git checkout; fatal: not a git repository"
    assert done.returncode == 2
    assert done.stderr.startswith(wanted) and done.stderr.count("\n") == 1
    # Inside the checkout of something else its commits are not ours.
    make_checkout(tmp_path)
    done = bench(tree, *arguments, prepare=prepare)
    wanted = f"bench {arguments[0]}: {tree} is no git checkout; the one of git is {tmp_path}\n"
    assert (done.returncode, done.stderr) == (2, wanted)
    shown = bench(tree, "schema", prepare="from bench.system import machine; print(machine.read_commit())")
    assert "Commit(commit='', dirty=True)" in shown.stdout


def test_a_name_that_is_no_commit_is_one_line(tmp_path: Path) -> None:
    tree = unpacked(tmp_path / "checkout")
    make_checkout(tree)
    done = bench(tree, "compare", "HEAD", "no-such-commit", "--only", "drain_1")
    assert (done.returncode, done.stderr) == (2, f"bench compare: no-such-commit names no commit of {tree}\n")


def make_checkout(directory: Path) -> None:
    """Make a git repository of one empty commit."""
    subprocess.run(["git", "init", "-q", str(directory)], check=True)
    named = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    commit = ("commit", "-q", "--allow-empty", "-m", "empty")
    subprocess.run(["git", "-C", str(directory), *named, *commit], check=True)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and summary in text for name, (_, summary) in COMMANDS.items())


def test_a_command_does_not_import_the_others() -> None:
    code = """import sys, bench.__main__ as m
m.main(["schema"])
mine = m.COMMANDS["schema"][0]
sys.exit(", ".join({module for module, _ in m.COMMANDS.values()} & sys.modules.keys() - {mine}) or 0)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and '"Report of python -m bench"' in done.stdout
