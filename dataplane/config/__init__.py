"""What a node was told by the control plane: who may pull what."""
