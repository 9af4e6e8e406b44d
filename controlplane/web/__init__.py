"""The HTTP port: health, metrics, and the routes that are not gRPC."""
