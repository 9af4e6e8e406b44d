"""A node's worker processes: started afresh, kept running, and seen from outside as one."""
