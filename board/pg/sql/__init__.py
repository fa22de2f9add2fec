"""The SQL of every feature, one file each."""
