"""A client of upstream registries, by the OCI distribution specification.

Values (digest, reference, upstream, descriptor, manifest) are pure; transport and what
stands on it (registry, blob, token) hold the security rules for addresses, redirects and
credentials. Knows neither gRPC nor Tornado.
"""
