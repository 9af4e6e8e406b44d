"""The data plane: a node that serves the registry API from its caches."""
