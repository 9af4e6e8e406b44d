"""Blobs: kept on disk, fetched once for all who ask at the same time, never served unverified."""
