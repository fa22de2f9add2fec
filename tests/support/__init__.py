"""Helpers of all tests: worlds on real servers, the real command, a proxy that fails on demand, a way to wait."""
