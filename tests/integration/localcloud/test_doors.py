"""Nobody without keys gets in, at any of the store's ports."""

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from localcloud import LocalCloud
from tests.integration.localcloud.conftest import ORIGIN
from tests.integration.localcloud.people import Person, service_s3, token_for

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def written(cloud: LocalCloud, alice: Person) -> str:
    await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"alice's")
    return alice.key("own")


def inner_paths(cloud: LocalCloud, key: str) -> dict[str, list[str]]:
    folder = f"/buckets/{cloud.bucket}"
    return {
        "master": ["/", "/dir/assign", "/dir/status", "/vol/grow?count=1", "/cluster/status"],
        "volume": ["/", "/status", "/ui/index.html", "/1,0123456789", "/healthz", "/metrics"],
        "filer": ["/", f"{folder}/", f"{folder}/{key}", f"{folder}/new", "/etc/iam/", "/healthz"],
    }


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("part", ["master", "volume", "filer"])
async def test_inner_ports_refuse_strangers(
    cloud: LocalCloud, written: str, part: str, scheme: str
) -> None:
    port = getattr(cloud.ports, part)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as client:
        for path in inner_paths(cloud, written)[part]:
            for method in METHODS:
                try:
                    answer = await client.request(method, f"{scheme}://127.0.0.1:{port}{path}")
                except (httpx.TransportError, ssl.SSLError):
                    continue
                assert answer.status_code == 400, (method, path)
                assert "HTTP request to an HTTPS server" in answer.text or method == "HEAD"


@pytest.mark.parametrize("part", ["master_grpc", "volume_grpc", "filer_grpc", "s3_grpc"])
def test_inner_calls_need_a_certificate(cloud: LocalCloud, part: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        knock(getattr(cloud.ports, part), context)


async def test_the_bucket_refuses_strangers(cloud: LocalCloud, written: str) -> None:
    async with httpx.AsyncClient(base_url=cloud.s3_endpoint, trust_env=False, timeout=60) as client:
        for path in ("/", f"/{cloud.bucket}", f"/{cloud.bucket}/{written}", f"/{cloud.bucket}/new"):
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
                answer = await client.request(method, path, content=b"x")
                assert answer.status_code in {400, 401, 403, 405}, (method, path, answer.text)
    async with service_s3(cloud) as s3:
        body = (await s3.get_object(Bucket=cloud.bucket, Key=written))["Body"]
        assert await body.read() == b"alice's"


async def test_a_login_token_opens_nothing_at_the_bucket(cloud: LocalCloud, written: str) -> None:
    _, token = await token_for(cloud, "alice")
    async with httpx.AsyncClient(base_url=cloud.s3_endpoint, trust_env=False, timeout=60) as client:
        for method in ("GET", "PUT", "DELETE"):
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.request(method, f"/{cloud.bucket}/{written}", headers=headers)
            assert answer.status_code == 403, answer.text


async def test_the_sts_gives_strangers_nothing(cloud: LocalCloud) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for action in ("AssumeRole", "GetFederationToken", "GetCallerIdentity"):
            form = {"Action": action, "RoleArn": "x", "RoleSessionName": "xx", "Name": "xx"}
            answer = await client.post(cloud.sts_endpoint, data=form)
            assert answer.status_code in {400, 403}, answer.text


def test_everything_listens_on_loopback_alone(cloud: LocalCloud, data_dir: Path) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc")
    pid = int((data_dir / "weed.pid").read_text())
    wanted = {getattr(cloud.ports, name) for name in cloud.ports.__slots__}
    assert listening(pid) == {("127.0.0.1", port) for port in wanted}


def test_the_audit_log_goes_through_no_port(cloud: LocalCloud, data_dir: Path) -> None:
    """The cloud of these tests counts: the ports above are all that it has."""
    config = json.loads((data_dir / "audit.json").read_text())
    assert config["fluent_network"] == "unix"
    socket_file = Path(config["fluent_socket_path"])
    assert cloud.audit is not None
    assert cloud.audit.socket == socket_file
    assert socket_file.parent.stat().st_mode & 0o077 == 0


def test_secrets_are_private_and_unlogged(cloud: LocalCloud, data_dir: Path) -> None:
    # Volume descriptions get their mode from the store itself; they say a version and a size.
    files = [file for file in data_dir.rglob("*") if file.suffix != ".vif"]
    assert [file for file in files if file.stat().st_mode & 0o077] == []
    assert data_dir.stat().st_mode & 0o077 == 0
    secrets: dict[str, str] = json.loads((data_dir / "secrets.json").read_text())
    log = (data_dir / "weed.log").read_text()
    hidden = [text for name, text in secrets.items() if name not in {"instance", "pool_uuid"}]
    assert [text for text in hidden if text in log and text != cloud.service_access_key_id] == []
    assert cloud.service_secret_access_key not in repr(cloud)
    assert cloud.webhook_token not in repr(cloud)


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), ("http://evil.example", False)])
async def test_pages_of_the_configured_origins_only(
    cloud: LocalCloud, written: str, origin: str, allowed: bool
) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,x-amz-date,authorization",
    }
    async with httpx.AsyncClient(base_url=cloud.s3_endpoint, trust_env=False, timeout=60) as client:
        preflight = await client.options(f"/{cloud.bucket}/{written}", headers=headers)
        answer = await client.put(f"/{cloud.bucket}/{written}", headers={"Origin": origin})
    for found in (preflight, answer):
        said = found.headers.get("access-control-allow-origin")
        assert (said in {origin, "*"}) == allowed, found.headers
    if allowed:
        assert "PUT" in preflight.headers["access-control-allow-methods"]


async def test_the_bucket_has_its_rules(cloud: LocalCloud) -> None:
    async with service_s3(cloud) as s3:
        (cors,) = (await s3.get_bucket_cors(Bucket=cloud.bucket))["CORSRules"]
        lifecycle: Any = await s3.get_bucket_lifecycle_configuration(Bucket=cloud.bucket)
    assert {"ETag", "x-amz-version-id", "x-amz-checksum-crc64nvme"} <= set(cors["ExposeHeaders"])
    (rule,) = lifecycle["Rules"]
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7


def knock(port: int, context: ssl.SSLContext) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), 60) as plain,
        context.wrap_socket(plain) as door,
    ):
        door.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        # TLS 1.3 tells a client that its certificate is missing at the first read only.
        if not door.recv(1):
            raise ConnectionResetError


def listening(pid: int) -> set[tuple[str, int]]:
    """All TCP addresses that the process listens on, by its open sockets."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                host = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else address
                found.add((host, int(port, 16)))
    return found
