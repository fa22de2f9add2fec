"""Builds the Cython kernels; everything else about the package is in pyproject.toml.

The kernels are optional. Without a C compiler the install goes on, says so in one line, and the pure-Python
twin of the kernels runs instead: the same answers, more slowly.
"""

from __future__ import annotations

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

KERNELS = "_speedups._c"
# Named as dependencies, so that source distributions carry them.
SOURCES = [f"_speedups/{name}" for name in ("_c.pyx", "_bytes.pxi", "_arrays.pxi", "_commands.pxi", "_items.pxi")]


def say_without(reason: object) -> None:
    print(f"leaderboard-server: installing without compiled kernels ({reason})", file=sys.stderr)


class OptionalBuild(build_ext):
    """A `build_ext` that reports in one line what it could not compile."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError) as error:
            say_without(error)
            # Forget it, or an editable install would look for the file it was to become.
            self.extensions = [other for other in self.extensions if other is not ext]


def kernels() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError as error:
        say_without(error)
        return []
    extension = Extension(
        KERNELS,
        ["_speedups/_c.pyx"],
        depends=SOURCES,
        extra_compile_args=["-O2"],
        optional=True,
    )
    return cythonize([extension], language_level=3)


setup(ext_modules=kernels(), cmdclass={"build_ext": OptionalBuild})
