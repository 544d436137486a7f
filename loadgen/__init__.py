"""Load generator: drives a service with planned jobs and writes the run directory."""
