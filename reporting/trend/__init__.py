"""Change over many runs."""
