"""Builds the Cython kernels; pyproject.toml has the rest of the package.

The kernels are optional. Without a C compiler the installation prints one line and continues. The pure-Python twin
of the kernels then gives the same answers, at a lower speed.
"""

from __future__ import annotations

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

KERNELS = "_speedups._c"
# Dependencies of the extension, so that source distributions contain them.
SOURCES = [
    f"_speedups/{name}" for name in ("_c.pyx", "_bytes.pxi", "_arrays.pxi", "_commands.pxi", "_items.pxi", "_http.pxi")
]


def report_without(reason: object) -> None:
    print(f"leaderboard-server: installing without compiled kernels ({reason})", file=sys.stderr)


class OptionalBuild(build_ext):
    """A `build_ext` that reports a failed extension in one line, and continues without it."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError) as error:
            report_without(error)
            # An editable install would look for the file that was not built.
            self.extensions = [other for other in self.extensions if other is not ext]


def kernels() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError as error:
        report_without(error)
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
