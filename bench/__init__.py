"""Benchmarks of Reelbench itself: the load generator compared with k6 and Locust, and the cost of telemetry."""
