"""What looks at a node's cache from beside it, on the same machine: `penstock cache`."""
