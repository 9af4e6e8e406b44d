"""Pulls: folded from the requests that clients make, kept on disk, and reported to the control plane."""
