"""What lies in the data directory before anything runs: secrets, the pool's key, identities."""

from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from localcloud.cognito.app import JWKS_PATH, CognitoApi, cognito_app
from localcloud.cognito.exchange import StsExchange
from localcloud.cognito.identities import Identities
from localcloud.cognito.key_life import KeyLife
from localcloud.cognito.operations import IdentityPool
from localcloud.cognito.quota import Quota
from localcloud.cognito.signature import SignatureVerifier
from localcloud.cognito.signing_key import signing_key
from localcloud.cognito.tokens import TokenIssuer
from localcloud.config import LocalCloudConfig
from localcloud.ports import LOOPBACK, Ports
from localcloud.private_files import write_private
from localcloud.secrets_file import Secrets
from localcloud.store.audit import StoreAudit
from localcloud.store.binary import find_weed
from localcloud.store.command import grpc_sockets, store_command, store_environment
from localcloud.store.configuration import AUDIT_FILE, allowed_origins, write_configuration
from localcloud.store.process import StoreLaunch
from localcloud.store.session_token import SessionTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """Everything that outlives a run, and the plans of what is to be started on it."""

    config: LocalCloudConfig
    data_dir: Path
    secrets: Secrets
    key: RSAKey
    identities: Identities
    key_life: KeyLife

    @classmethod
    def laid_in(cls, data_dir: Path, config: LocalCloudConfig) -> "Foundation":
        """Read what an earlier run left or make it anew. Blocking, some 100 ms."""
        return cls(
            config=config,
            data_dir=data_dir,
            secrets=Secrets.kept_in(data_dir / "secrets.json"),
            key=signing_key(data_dir / "cognito.pem"),
            identities=Identities(data_dir / "identities.sqlite3", config.region),
            key_life=KeyLife(config.session_seconds),
        )

    @property
    def pool_id(self) -> str:
        return f"{self.config.region}:{self.secrets.pool_uuid}"

    @property
    def service_key(self) -> tuple[str, str, str]:
        """Region, access key id and secret access key of the service's own identity."""
        secrets = self.secrets
        return (
            self.config.region,
            secrets.service_access_key_id,
            secrets.service_secret_access_key,
        )

    @property
    def session_tokens(self) -> SessionTokens:
        return SessionTokens(self.secrets.sts_signing_key)

    def store_launch(self, ports: Ports, audit: StoreAudit | None) -> StoreLaunch:
        """Write the store's configuration for these ports and say how to run it. Blocking."""
        jwks_url = f"http://{LOOPBACK}:{ports.cognito}{JWKS_PATH}"
        write_configuration(
            self.data_dir, self.config, self.secrets, pool_id=self.pool_id, jwks_url=jwks_url
        )
        if audit is not None:
            write_private(self.data_dir / AUDIT_FILE, audit.configuration())
        command = store_command(
            find_weed(),
            ports.store,
            instance=self.secrets.instance,
            origins=allowed_origins(self.config),
            audited=audit is not None,
        )
        return StoreLaunch(
            data_dir=self.data_dir,
            command=tuple(command),
            environment=store_environment(self.data_dir),
            instance=self.secrets.instance,
            s3_port=ports.store.s3,
            sockets=grpc_sockets(ports.store),
        )

    def cognito_app(self, sts: StsExchange) -> Starlette:
        """Build the Cognito API's application."""
        config = self.config
        pool = IdentityPool(
            pool_id=self.pool_id,
            developer_provider_name=config.developer_provider_name,
            key_life=self.key_life,
            identities=self.identities,
            tokens=TokenIssuer(key=self.key, pool_id=self.pool_id),
            sts=sts,
        )
        verifier = SignatureVerifier(
            access_key_id=self.secrets.service_access_key_id,
            secret_access_key=self.secrets.service_secret_access_key,
            region=config.region,
        )
        api = CognitoApi(pool=pool, verifier=verifier, quota=Quota(config.max_developer_rps))
        return cognito_app(api, self.key, config.cors_origins)
