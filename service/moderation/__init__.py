"""Fair play: what a player submitted."""
