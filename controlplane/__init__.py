"""The control plane: names, access, sync; the gRPC API and what nodes run by."""
