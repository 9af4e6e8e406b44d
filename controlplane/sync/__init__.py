"""Runs that make the tags and manifests of an artifact equal to the upstream's."""
