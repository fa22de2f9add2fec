"""Fair play: what a player submitted, and who is banned or hidden."""
