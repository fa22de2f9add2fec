"""Bytes to requests and answers to bytes; nothing here knows a feature by name."""
