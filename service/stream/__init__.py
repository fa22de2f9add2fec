"""Live boards: the best players as a stream of changes (Server-Sent Events)."""
