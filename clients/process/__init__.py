"""What every Penstock process does alike: how it ends, logs, keeps files and listens, and merges wishes."""
