"""Submitting scores."""
