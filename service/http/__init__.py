"""From bytes to requests, and from answers to bytes. Features are known by the table of operations only."""
