"""References to manifests, digests to blobs, repositories to tags: memory, disk, control plane."""
