"""What atheris drives: one input, both implementations. Started by `fuzz.run` with sanitizers loaded."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import atheris

from _speedups import _py
from fuzz.calls import differences

KERNELS: Final = importlib.import_module(os.environ["FUZZ_KERNELS"])


def one(data: bytes) -> None:
    """Raise for any difference; the sanitizers end the process for anything worse."""
    for difference in differences(KERNELS, _py, data):
        raise AssertionError(difference)


atheris.Setup(sys.argv, one)
atheris.Fuzz()
