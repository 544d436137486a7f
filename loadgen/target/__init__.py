"""Target: client of the service under test."""
