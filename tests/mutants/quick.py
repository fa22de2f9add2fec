"""A plugin of pytest: Hypothesis takes the same few examples in each run, keeps none, and makes none of them smaller.

It is enough to see that a test fails. To find the smallest example takes longer than all the rest.
"""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "quick",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("quick")
