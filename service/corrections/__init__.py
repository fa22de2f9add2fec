"""Corrections of past submissions: preview, creation, undoing."""
