"""What the machine of the load generator does in a run: CPU of others, steal, pressure, throttling, frequency."""
