"""The HTTP API: workers under gunicorn that accept submissions and answer reads of boards."""
