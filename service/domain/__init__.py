"""Requests, videos, jobs, errors and labels that all layers of the service share."""
