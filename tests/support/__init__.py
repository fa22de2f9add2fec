"""What the tests share: real servers, worlds of their own on them, the real command, and a way to wait."""
