"""The HTTP API: application, routes, models, access, admin endpoints, request bodies and error responses."""
