"""Metrics of the API and their exporter."""
