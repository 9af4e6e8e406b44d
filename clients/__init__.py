"""What speaks to a server: upstream registries, the control plane, and people at a terminal."""

import os

# gRPC's core would write to standard error by itself, past our log: a line for every stranger whose handshake
# fails. It reads this once, when it is imported, which everything of ours that does so comes after.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
