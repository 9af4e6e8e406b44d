"""OCI image layouts that clients write."""

import json
import tempfile
from pathlib import Path


def new_folder(parent: Path) -> Path:
    """A new, empty folder, so that nothing of an earlier pull can be used again."""
    return Path(tempfile.mkdtemp(dir=parent))


def digest_in(layout: Path) -> str:
    """The digest of the manifest that a layout was written for."""
    return str(json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])
