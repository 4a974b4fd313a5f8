"""The store's command line and environment.

Paths are relative to the data directory, which is the working directory: a Unix socket's path
may have 107 bytes at most, and a comma in `-dir` separates two directories.
"""

import os
from dataclasses import asdict
from pathlib import Path

from localcloud.ports import LOOPBACK, StorePorts
from localcloud.store.configuration import AUDIT_FILE, IAM_FILE, IDENTITIES_FILE, OBJECTS

# The largest file of the store's volumes; small, because space is taken back by volume.
_VOLUME_MB = 1024


def store_command(
    weed: Path, ports: StorePorts, *, instance: str, origins: str, audited: bool = False
) -> list[str]:
    """Give the arguments that start master, volume, filer and S3 in one process on loopback.

    `instance` ends up on the command line, so that a run left behind can be recognised.
    `audited`: what it answers is written down, as AUDIT_FILE says.
    """
    return [
        str(weed),
        "-logtostderr=true",
        "server",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-dir={OBJECTS}",
        f"-rack={instance}",
        "-filer",
        "-s3",
        *_port_flags(ports),
        # Catalog servers that nobody here speaks to; each would open a port of its own.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # Alone and knowing it: no waiting for other masters to vote.
        "-master.peers=none",
        "-master.telemetry=false",
        "-master.telemetry.url=",
        f"-master.volumeSizeLimitMB={_VOLUME_MB}",
        # As many volumes as the disk has room for, not eight.
        "-volume.max=0",
        # The heartbeat's farewell needs no ten seconds when the master is the same process.
        "-volume.preStopSeconds=0",
        "-filer.localSocket=filer.sock",
        "-s3.localSocket=s3.sock",
        f"-filer.allowedOrigins={origins}",
        f"-s3.allowedOrigins={origins}",
        # A second upload protocol, which knows nothing of policies.
        "-filer.tusBasePath=",
        "-s3.autoCreateBucket=false",
        f"-s3.iam.config={IAM_FILE}",
        f"-s3.config={IDENTITIES_FILE}",
        *([f"-s3.auditLogConfig={AUDIT_FILE}"] if audited else []),
    ]


def store_environment(data_dir: Path) -> dict[str, str]:
    """Give an environment with nothing of ours.

    The store would take AWS_ACCESS_KEY_ID for an administrator's key, WEED_* for settings and
    the files in HOME for configuration.
    """
    return {"PATH": os.defpath, "HOME": str(data_dir), "TMPDIR": str(data_dir)}


def _port_flags(ports: StorePorts) -> list[str]:
    """`s3` becomes `-s3.port=…`, `s3_grpc` becomes `-s3.port.grpc=…`."""
    flags = []
    for name, port in asdict(ports).items():
        part, _, protocol = name.partition("_")
        flags.append(f"-{part}.port{'.' if protocol else ''}{protocol}={port}")
    return flags


def grpc_sockets(ports: StorePorts) -> tuple[Path, ...]:
    """Where the store puts its gRPC sockets, whatever TMPDIR says; a killed store leaves them."""
    named = {name.removesuffix("_grpc"): port for name, port in asdict(ports).items()}
    return tuple(
        Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock")  # noqa: S108 - the store's choice
        for part, port in named.items()
    )
