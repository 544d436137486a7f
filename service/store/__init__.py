"""State of jobs in Redis and their files on disk; leases of instances, and outages of the store."""
