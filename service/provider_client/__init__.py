"""Clients of the AI providers, with caches, retries and circuit breakers."""
