"""A client made by a stock generator from docs/openapi.json, as an application would make it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
MODULE = "uploadgate_client"


def generate(folder: Path) -> str:
    """Makes the client's package in `folder`, puts that on sys.path, answers the module's name.

    AssertionError when the generator fails or leaves out more than the stores' own addresses.
    """
    configuration = folder / "generator.json"
    configuration.write_text(json.dumps({"post_hooks": []}), encoding="utf-8")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    options = {"--path": DOCUMENT, "--output-path": folder / MODULE, "--config": configuration}
    for name, value in options.items():
        command += [name, str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    left_out = [line for line in said.splitlines() if line.startswith("WARNING")]
    assert all("/v1/webhooks/" in line for line in left_out), said
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return MODULE
