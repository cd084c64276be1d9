"""Middleware around every request: drain, rate limit, access, capacity and bounds. The endpoints are in `serving.api`."""
