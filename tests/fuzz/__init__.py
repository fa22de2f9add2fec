"""Fuzzing of the compiled kernels: coverage-guided, under sanitizers, with the twin as judge. See docs/security.md."""
