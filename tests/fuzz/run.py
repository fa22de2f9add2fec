"""Fuzz the kernels: ``python -m fuzz.run [--seconds S] [--proof]``.

Builds the kernels with clang under AddressSanitizer and UndefinedBehaviorSanitizer, with coverage, and lets atheris
(libFuzzer) search for inputs that hurt them or on which they differ from the twin. ``--proof`` builds them once more
without one of their bounds and ends with status 1 unless that is found. What was found is in ``build/fuzz``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from support.repository import REPOSITORY

CORPUS: Final = Path(__file__).with_name("corpus")
BUILD: Final = REPOSITORY / "build" / "fuzz"
SANITIZERS: Final = "-fsanitize=fuzzer-no-link,address,undefined"
BOUND: Final = ("_items.pxi", "reserve(&buffer, 6 * (size - PREFIX_SIZE) + 80)", "reserve(&buffer, 80)")
"""File, text, and what takes its place in the copy that must be found out."""
PROOF_S: Final = 60


def build(name: str, broken: bool = False) -> Path:
    """Compile the kernels as the module `name`; the directory it is in. Raises `CalledProcessError`."""
    source, made = BUILD / name / "source", BUILD / name / "module"
    shutil.rmtree(BUILD / name, ignore_errors=True)
    shutil.copytree(REPOSITORY / "_speedups", source, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    made.mkdir()
    if broken:
        file, old, new = BOUND
        text = (source / file).read_text()
        assert text.count(old) == 1, f"{file} has changed: the proof must change with it"
        (source / file).write_text(text.replace(old, new))
    (source / "_c.pyx").rename(source / f"{name}.pyx")
    subprocess.run([sys.executable, "-m", "cython", "-3", f"{name}.pyx"], cwd=source, check=True)
    include = sysconfig.get_paths()["include"]
    command = ["clang", "-shared", "-fPIC", "-g", "-O1", "-fno-omit-frame-pointer", SANITIZERS]
    command += ["-fno-sanitize-recover=undefined", f"-I{include}", str(source / f"{name}.c")]
    subprocess.run([*command, "-o", str(made / f"{name}.so")], check=True)
    return made


def runtime() -> Path:
    """The library with the sanitizers' runtime and libFuzzer, which atheris brings."""
    found = importlib.util.find_spec("atheris")
    assert found is not None and found.origin is not None
    return Path(found.origin).parents[1] / "asan_with_fuzzer.so"


def search(name: str, module: Path, seconds: int, seed: int) -> tuple[int, str]:
    """Fuzz for some time, or until something is found: exit status and libFuzzer's report."""
    grown = BUILD / name / "corpus"
    grown.mkdir()
    env = {
        **os.environ,
        "FUZZ_KERNELS": name,
        "PYTHONPATH": os.pathsep.join([str(module), str(REPOSITORY), str(REPOSITORY / "tests")]),
        "LD_PRELOAD": str(runtime()),
        # Else the bounds of small blocks are pymalloc's own affair, and nobody would see them crossed.
        "PYTHONMALLOC": "malloc",
        # The interpreter itself keeps things to its end; what kernels lose, `fuzz.leaks` looks for.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-len_control=20", "-timeout=20"]
    options += ["-use_value_profile=1", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={BUILD / name}/"]
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.target", *options, str(grown), str(CORPUS)],
        cwd=BUILD / name,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--proof", action="store_true", help="find out a copy without one of its bounds first")
    args = parser.parse_args()
    if shutil.which("clang") is None:
        print("clang is needed (on Debian: apt install clang libclang-rt-14-dev)")
        return 1
    if args.proof:
        status, report = search("brokenkernels", build("brokenkernels", broken=True), PROOF_S, args.seed)
        if status == 0 or "AddressSanitizer: heap-buffer-overflow" not in report:
            print(report[-2_000:])
            print(f"a copy without {BOUND[1]!r} was not found out within {PROOF_S} s")
            return 1
        print("a copy without one of its bounds was found out: heap-buffer-overflow")
    status, report = search("fuzzedkernels", build("fuzzedkernels"), args.seconds, args.seed)
    if status:
        print(report[-6_000:])
        print(f"the input is in {BUILD}/fuzzedkernels; seed {args.seed}")
        return 1
    runs = re.search(r"number_of_executed_units: +(\d+)", report)
    coverage = re.findall(r" cov: (\d+) ft: (\d+) corp: (\d+)", report)
    print(
        f"{runs[1] if runs else '?'} inputs, {coverage[-1][0] if coverage else '?'} edges,"
        f" {coverage[-1][2] if coverage else '?'} inputs kept, nothing found (seed {args.seed})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
