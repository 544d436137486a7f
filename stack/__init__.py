"""The stack that a run uses: found or started processes, their environment, addresses and Prometheus."""
