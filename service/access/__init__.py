"""Who may do what: keys, player tokens, and the gate both lanes pass through."""
