"""Benchmarks of the byte kernels alone."""
