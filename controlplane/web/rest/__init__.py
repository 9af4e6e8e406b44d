"""The gRPC API as REST, from the google.api.http annotations of its methods alone."""
