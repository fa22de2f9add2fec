"""Settings: one frozen object, read from the environment."""
