"""The gRPC API: one servicer for each service, and the interceptors in front of them."""
