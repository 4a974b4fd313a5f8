"""What holds for the tree as a whole: nothing names a machine, nothing is built at import."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("auth", "aws", "cli", "client", "localcloud", "routers", "service", "state")
LOCKS = ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock")

# In pieces, or this file would be the first to be found.
HOSTS = (
    ("docker", "io"),
    ("quay", "io"),
    ("ghcr", "io"),
    ("gcr", "io"),
    ("public.ecr", "aws"),
    ("pkg", "dev"),
    ("mcr.microsoft", "com"),
    ("pypi", "org"),
    ("python-hosted".replace("-", ""), "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("yarnpkg", "com"),
    ("deb.debian", "org"),
    ("deb.nodesource", "com"),
)
FOLDERS = ("work", "root", "opt", "home", "Users")
# At the start of a word: `/app/work/` is a path below something else.
FORBIDDEN = re.compile(
    "|".join(
        [rf"\b{re.escape('.'.join(pieces))}\b" for pieces in HOSTS]
        + [rf"(?<![\w.$}}*\])>-])/{folder}/" for folder in FOLDERS]
    )
)

# Run by a Python of its own: imports every module, prints what was built on the way.
_BUILT = """
import importlib, json, pkgutil, sys
import botocore.client, fastapi, httpx, sqlalchemy.ext.asyncio
import background, errors, logs, main, settings, wiring
kinds = (fastapi.FastAPI, settings.Settings, botocore.client.BaseClient, httpx.Client,
         httpx.AsyncClient, sqlalchemy.ext.asyncio.AsyncEngine)
for package in map(importlib.import_module, sys.argv[1:]):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in found.name and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
ours = {*sys.argv[1:], "background", "errors", "logs", "main", "settings", "wiring"}
print(json.dumps(sorted(
    f"{name}.{key}"
    for name, module in list(sys.modules.items()) if name.split(".")[0] in ours
    for key, value in vars(module).items() if isinstance(value, kinds)
)))
"""


def committed_files() -> list[Path]:
    """With what is about to be: all that git does not ignore."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(  # noqa: S603
        [*command, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [file for file in files if file.is_file()]


def findings() -> list[str]:
    found = []
    for file in committed_files():
        text = file.read_bytes().decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if match := FORBIDDEN.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {match.group()}")
    return found


def test_no_file_names_a_registry_an_index_or_a_path_of_a_machine() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    "line",
    [
        "https://" + "pypi" + ".org/simple",
        "FROM " + "docker" + ".io/library/python",
        "cd " + "/ro" + "ot/x",
        '"' + "/wo" + "rk/main" + '"',
    ],
)
def test_what_is_forbidden_is_found(line: str) -> None:
    assert FORBIDDEN.search(line)


def test_importing_builds_nothing() -> None:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _BUILT, *PACKAGES],
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    assert entries
    wrong = [
        entry.split(" ")[0]
        for entry in entries
        if not re.fullmatch(
            r"[a-z0-9._-]+==\S+( ; [^#]*?)?( +--hash=sha256:[0-9a-f]{64})+ *", entry
        )
    ]
    assert wrong == []


def test_the_image_has_no_embedded_store_and_no_test_tools() -> None:
    names = set(re.findall(r"(?m)^([a-z0-9._-]+)==", (ROOT / LOCKS[0]).read_text(encoding="utf-8")))
    assert names >= {"fastapi", "aioboto3", "asyncpg"}
    assert not {name for name in names if name.startswith(("seaweedfs", "pytest", "mypy", "pip"))}
