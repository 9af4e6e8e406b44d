"""What a node keeps blobs with."""

import subprocess
import sys

_LOADED = """
import sys
import dataplane.__main__, dataplane.node, dataplane.workers.serve
print(*sys.modules)
"""


def test_a_node_without_a_bucket_does_without_the_library_for_it() -> None:
    """It is megabytes in each worker, and a good part of the time that a start takes."""
    asked = [sys.executable, "-c", _LOADED]
    loaded = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    assert "dataplane.blobs.bucket_client" in loaded
    assert not {"botocore", "aiobotocore"} & set(loaded)
