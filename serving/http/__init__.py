"""The HTTP server: connections, bodies, routes."""
