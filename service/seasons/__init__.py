"""Administering seasons."""
