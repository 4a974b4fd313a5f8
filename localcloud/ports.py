"""The loopback ports: preferred ones where somebody configures clients, others at random.

Remembered across runs, so that a client's configuration stays valid; replaced when busy.
"""

import json
import logging
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from localcloud.errors import PortsExhaustedError
from localcloud.private_files import write_private

LOOPBACK = "127.0.0.1"
_log = logging.getLogger(__name__)
# Below the range from which systems draw the ports of outgoing connections.
_RANDOM_RANGE = range(12_000, 32_000)
_ATTEMPTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePorts:
    """All that the store listens on."""

    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int
    s3: int
    s3_grpc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The store's eight ports and the Cognito API's."""

    store: StorePorts
    cognito: int


def choose_ports(memory: Path, preferred: dict[str, int]) -> Ports:
    """Choose a free port for every listener and write the choice to `memory` (JSON).

    `preferred` names `s3` and `cognito`; 0 is no preference. A remembered port wins over the
    preferred one as long as the preference is the same as when it was remembered.
    """
    remembered = _read(memory)
    chosen: dict[str, int] = {}
    for name in (*(field.name for field in fields(StorePorts)), "cognito"):
        wish = preferred.get(name, 0)
        known = remembered.get(name, {})
        last = known.get("port", 0) if known.get("preferred") == wish else 0
        chosen[name] = _first_free((last, wish), taken=set(chosen.values()))
        if wish and chosen[name] != wish:
            _log.warning("port %d of %s is busy or was replaced: %d", wish, name, chosen[name])
    entries = {
        name: {"port": port, "preferred": preferred.get(name, 0)} for name, port in chosen.items()
    }
    write_private(memory, json.dumps(entries, indent=1))
    cognito = chosen.pop("cognito")
    return Ports(store=StorePorts(**chosen), cognito=cognito)


def all_free(ports: Ports) -> bool:
    """Tell whether everything could start on these ports now."""
    return all(map(_is_free, (*asdict(ports.store).values(), ports.cognito)))


def _read(memory: Path) -> dict[str, dict[str, int]]:
    try:
        found = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_free(wishes: tuple[int, ...], *, taken: set[int]) -> int:
    for port in (*filter(None, wishes), *_random_ports()):
        if port not in taken and _is_free(port):
            return port
    raise PortsExhaustedError("no free port on the loopback interface")


def _random_ports() -> Iterator[int]:
    return (secrets.choice(_RANDOM_RANGE) for _ in range(_ATTEMPTS))


def _is_free(port: int) -> bool:
    # Connecting first: where SO_REUSEADDR lets a second listener in, binding proves nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
