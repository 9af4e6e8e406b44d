"""A typed client for the control plane's gRPC API, for nodes, the command line and users."""
