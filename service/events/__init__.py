"""Events: what other systems are told."""
