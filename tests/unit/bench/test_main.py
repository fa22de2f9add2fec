"""`python -m bench`: each command of the table can be called, and each is listed in ``--help``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from support.absent import absent

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


def test_a_missing_module_of_ours_is_no_package_to_install() -> None:
    code = "import sys; sys.modules['bench.rows.rounds'] = None; import bench.__main__ as m; m.main([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rounds", "1"], "pgbench, redis-benchmark, wrk; install with: apt install postgresql redis-tools wrk"),
        (["scale"], "wrk; install with: apt install wrk"),
        (["anatomy", "post"], "wrk, py-spy; install with: apt install wrk; make bench-tools"),
        (["evidence", "--anyway"], "git, pgbench, redis-benchmark, wrk, py-spy; install with: apt install git"),
    ],
)
def test_tools_that_are_missing_are_named_before_anything_is_measured(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    # py-spy is also looked for beside the interpreter.
    code = f"import sys; sys.executable = {str(tmp_path / 'python')!r}; import bench.__main__ as m; "
    code += f"sys.exit(m.main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"not installed: {says}" in done.stderr and done.stderr.count("\n") == 1


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
