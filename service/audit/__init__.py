"""The audit of administrative acts."""
