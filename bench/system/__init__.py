"""The system under test: its servers and processes, their use of time and memory, and the machine."""
