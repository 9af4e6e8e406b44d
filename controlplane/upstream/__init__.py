"""How the control plane speaks to the upstream repository of an artifact."""
