"""HTTP: Falcon resources under gunicorn that take submissions and answer board reads."""
