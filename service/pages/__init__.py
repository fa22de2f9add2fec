"""Pages for people: a board as it changes, alone or inside another page."""
