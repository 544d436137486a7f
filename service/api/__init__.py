"""The HTTP API: application, routes, admin endpoints, request bodies and error responses."""
