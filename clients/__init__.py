"""What speaks to a server: upstream registries, the control plane, and people at a terminal."""
