"""The rows of the benchmark: each measures one figure, and checks the answers behind it."""
