"""Administering API keys."""
