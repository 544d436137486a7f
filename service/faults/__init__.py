"""Fault plans: their format, their exact schedule, and the endpoint ``/faults``."""
