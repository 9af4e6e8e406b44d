"""What nodes run by: rows to a configuration, what changed between two, and its feed."""
