"""Mutants: copies of the project with one guard taken out, and the tests that notice it. ``make mutants`` runs them."""
