"""Every setting, typed and documented. No instance is made at import.

Each is read from the environment as `UPLOADGATE_<NAME>`, a group's as
`UPLOADGATE_<GROUP>__<NAME>`; lists are JSON. docs/settings.md is generated from this file.
What is unsafe outside development is refused when the settings are made.
"""

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.uploads.keys import DEFAULT_TEMPLATE, is_template

DEVELOPMENT_SIGNING_KEY = "development-only-signing-key-change-me"
# After the time-out of an attempt: its answer is heard out, and noted in the database.
_UNTIL_NOTED = 5


def _lower(value: object) -> object:
    """Before the pattern is looked at, which pydantic's own `to_lower` is not."""
    return value.lower() if isinstance(value, str) else value


Dependency = Literal["database", "store", "cognito"]
TransportName = Literal["credentials", "presigned", "relay"]
ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
ContentType = Annotated[
    str,
    BeforeValidator(_lower),
    StringConstraints(pattern=r"^[a-z0-9!#$&^_.+-]+/(\*|[a-z0-9!#$&^_.+-]+)$", max_length=255),
]
Extension = Annotated[str, BeforeValidator(_lower), StringConstraints(pattern=r"^[a-z0-9]{1,20}$")]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _template(text: str) -> str:
    if not is_template(text):
        raise ValueError("is no key template: plain characters, folders, and {upload_id} in it")
    return text


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


Network = Annotated[str, AfterValidator(_network)]


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(Group):
    """The HTTP surface: where it listens and what it takes on at once."""

    host: str = Field("127.0.0.1", description="Address to listen on. The image sets 0.0.0.0.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    cors_origins: list[str] = Field(
        default_factory=list,
        description="Origins whose pages may call the API; `*` only in development.",
    )
    body_limit: Count = Field(
        65_536, description="Largest request body in bytes; webhooks have limits of their own."
    )
    max_concurrent: Count = Field(
        200, description="Requests handled at once; more wait in the admission queue."
    )
    max_concurrent_grants: Count = Field(
        200,
        description="The same for grants and exchanges, which wait for Cognito: however slow it "
        "is, the API's other requests do not wait behind them.",
    )
    max_concurrent_webhooks: Count = Field(
        200,
        description="The same for each source of webhooks, which wait neither behind the API's own "
        "requests nor behind another source.",
    )
    max_waiting: int = Field(
        10_000, ge=0, description="Requests that may wait for admission; beyond, 503 at once."
    )
    wait_seconds: Seconds = Field(
        30, description="Longest wait for admission, then 503 with Retry-After."
    )
    body_seconds: Seconds = Field(
        20, description="Longest time for a request's whole body to arrive, then 408."
    )
    keep_alive_seconds: Count = Field(
        75, description="Idle connections are kept this long; keep it above the load balancer's."
    )


class DatabaseSettings(Group):
    """Where records live: SQLite for one process, Postgres for any number."""

    url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///uploadgate.db"),
        description="SQLAlchemy URL: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`.",
    )
    pool_size: Count = Field(10, description="Connections (Postgres).")
    pool_overflow: int = Field(
        10, ge=0, description="Connections beyond these; once opened they are kept, too."
    )
    timeout_seconds: Seconds = Field(
        10, description="Longest wait for a connection, and for one statement."
    )
    migrate_on_start: bool = Field(
        default=True, description="Bring the schema up to date at start (`uploadgate db upgrade`)."
    )


class AuthSettings(Group):
    """Who is calling: passwords and the service's own tokens."""

    signing_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SIGNING_KEY),
        description="HMAC key of the access tokens, 32 characters or more. The default is refused "
        "outside development.",
    )
    previous_signing_keys: list[SecretStr] = Field(
        default_factory=list, description="Keys still accepted while one is being replaced."
    )
    issuer: str = Field("uploadgate", description="`iss` of the access tokens.")
    audience: str = Field("uploadgate", description="`aud` of the access tokens.")
    access_token_seconds: Count = Field(900, description="Life of an access token.")
    refresh_token_seconds: Count = Field(
        2_592_000, description="Life of a login: refresh tokens rotate, but never outlive this."
    )
    leeway_seconds: int = Field(30, ge=0, le=300, description="Clock skew that tokens may show.")
    session_cache: int = Field(
        50_000,
        ge=0,
        description="Access tokens whose signature one replica need not check again, about 1 KiB "
        "each; expiry and revocation are checked every time. 0: none.",
    )
    revocation_look_seconds: Seconds = Field(
        5,
        description="A replica looks into the database this often for logins that have ended, "
        "should another replica's news of it get lost.",
    )
    hash_concurrency: Count = Field(
        2, description="Passwords hashed at once, each in a thread with `hash_memory_kib`."
    )
    hash_memory_kib: Annotated[int, Field(ge=19_456)] = Field(
        19_456, description="Argon2id memory; OWASP's minimum is 19 MiB."
    )
    hash_iterations: Annotated[int, Field(ge=2)] = Field(2, description="Argon2id passes.")
    failures_per_account: Count = Field(
        10, description="Failed logins of one account from one address before it must wait."
    )
    failures_per_address: Count = Field(
        100, description="Failed logins from one address, over all accounts, before it must wait."
    )
    failure_window_seconds: Count = Field(300, description="Time over which failures are counted.")


class AwsSettings(Group):
    """How the service itself speaks to AWS."""

    region: str = Field("us-east-1", description="Region of pool and bucket.")
    access_key_id: str | None = Field(
        None, description="The service's own key; unset: the default chain (task role, …)."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of `access_key_id`.")
    connect_timeout_seconds: Seconds = Field(2, description="Connecting to an AWS endpoint.")
    read_timeout_seconds: Seconds = Field(5, description="Waiting for an answer's next bytes.")
    call_timeout_seconds: Seconds = Field(
        12, description="One call with all its retries; then it counts as unavailable."
    )
    max_attempts: Count = Field(3, description="Attempts of one call, standard retry mode.")
    max_connections: Count = Field(
        100,
        description="Connections to one endpoint; to Cognito there are `cognito.max_concurrent`.",
    )
    keep_alive_seconds: Seconds = Field(
        30, description="Idle connections to an endpoint are kept this long."
    )


class CognitoSettings(Group):
    """The identity pool with its developer provider."""

    identity_pool_id: str | None = Field(
        None, description="`REGION:UUID`; unset: no Cognito grants."
    )
    developer_provider_name: str = Field(
        "login.uploadgate",
        min_length=1,
        max_length=128,
        pattern=r"^[\w._-]+$",
        description="The pool's developer provider name; it cannot be changed once set there.",
    )
    token_seconds: int = Field(
        900, ge=1, le=86_400, description="TokenDuration of the OpenID token, as AWS bounds it."
    )
    max_concurrent: Count = Field(
        400,
        description="Calls to Cognito of one replica at once; more are told to wait, so that one "
        "that hangs does not hold up everything else.",
    )
    calls_per_second: Annotated[float, Field(ge=0)] = Field(
        50,
        description="Quota of GetOpenIdTokenForDeveloperIdentity, over all replicas together; "
        "AWS's default is 50 for an account and Region. 0: no limit.",
    )
    exchanges_per_second: Annotated[float, Field(ge=0)] = Field(
        200, description="The same for GetCredentialsForIdentity, which exchanges call."
    )
    quota_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.8,
        description="Part of these quotas that is used: the rest is for calls that arrive closer "
        "together than they were sent (at 0.8 by up to a quarter of a second, as of replicas that "
        "are flooded), and for others of the account.",
    )
    wait_seconds: Seconds = Field(
        2,
        description="Longest wait of a caller for a token, its turn included; then a presigned "
        "grant, or 503 with Retry-After for who insists on Cognito.",
    )
    call_timeout_seconds: Seconds = Field(
        4, description="One call to Cognito; longer counts as a failure. No call is repeated."
    )
    breaker_failures: Count = Field(
        5,
        description="Calls that fail in a row before Cognito is left alone for a while: nobody "
        "waits for it then, and single calls try whether it is back.",
    )
    breaker_seconds: Seconds = Field(
        2, description="First pause of the breaker; each trial that fails doubles it, up to 30 s."
    )
    token_cache: int = Field(
        100_000,
        ge=0,
        description="OpenID tokens that one replica keeps in memory, about 2.5 KiB each. 0: none.",
    )
    endpoint: str | None = Field(
        None, description="Where the service reaches Cognito; unset: AWS's own."
    )
    public_endpoint: str | None = Field(
        None, description="Where clients reach it; unset: the same as `endpoint`."
    )


class StoreSettings(Group):
    """The bucket that uploads land in."""

    bucket: str = Field("uploads", min_length=3, max_length=63, description="Name of the bucket.")
    endpoint: str | None = Field(
        None, description="Where the service reaches the store; unset: AWS's own."
    )
    public_endpoint: str | None = Field(
        None, description="Where clients reach it; unset: the same as `endpoint`."
    )
    adoption: bool = Field(
        default=True,
        description="Objects that arrive in a known user's folder without a record get one.",
    )
    adoption_skips: list[str] = Field(
        default_factory=list,
        description="Suffix patterns within a user's folder that are not adopted, e.g. "
        '`["thumbnails/*"]` (derived files).',
    )


class CredentialsSettings(Group):
    """When temporary credentials are given out: they cannot cap size, type or quota."""

    issue: Literal["when_unlimited", "checked_after_arrival", "never"] = Field(
        "when_unlimited",
        description="`when_unlimited`: not to callers for whom a profile has a limit; "
        "`checked_after_arrival`: to all, what is over a limit is rejected and deleted on "
        "arrival; `never`.",
    )


class ProfileSettings(Group):
    """A kind of upload. Sizes are in bytes; what is left out is not limited."""

    max_size: Annotated[int, Field(ge=0)] | None = Field(None, description="Largest file.")
    content_types: list[ContentType] = Field(
        default_factory=list, description="Types taken, e.g. `image/png` or `image/*`; none: all."
    )
    extensions: list[Extension] = Field(
        default_factory=list, description="Endings of names taken, e.g. `png`; none: all."
    )
    max_in_flight: Count | None = Field(
        None, description="Uploads that one user may have under way at once."
    )
    quota: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Bytes that one user's uploads of this profile may have together."
    )
    key_template: Annotated[str, AfterValidator(_template)] = Field(
        DEFAULT_TEMPLATE,
        description="Key within the user's folder; must hold `{upload_id}`, may hold "
        "`{filename}`, `{extension}`, `{year}`, `{month}`, `{day}`.",
    )
    quarantine: bool = Field(
        default=False, description="What has arrived waits for a verdict before it is completed."
    )
    transports: Annotated[list[TransportName], Field(min_length=1)] = Field(
        default=["credentials", "presigned", "relay"], description="Transports allowed."
    )


class UploadSettings(Group):
    """What may be uploaded, in which pieces, and how long uploads live."""

    max_size: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Largest file of the profile `default` in bytes, where `profiles` does not "
        "define it; unset: the store's own limit of 48.8 TiB.",
    )
    profiles: dict[ProfileName, ProfileSettings] = Field(
        default_factory=dict,
        description="Kinds of upload by name, as a JSON object; see *Profiles* below. An upload "
        "that names none is of the profile `default`.",
    )
    expires_seconds: Count = Field(
        604_800, description="An upload not completed in this time may be given up."
    )
    multipart_threshold: Annotated[int, Field(ge=0, le=5_368_709_120)] = Field(
        8_388_608, description="Files larger than this, in bytes, go in parts."
    )
    part_size: Annotated[int, Field(ge=5_242_880, le=5_368_709_120)] = Field(
        8_388_608,
        description="Bytes of a part; more where 10,000 such parts would not hold the file.",
    )
    url_seconds: Annotated[int, Field(ge=1, le=604_800)] = Field(
        3600,
        description="Life of a presigned address; shorter where the signing credentials or the "
        "upload end sooner.",
    )
    idempotency_hours: Count = Field(
        24, description="Idempotency-Keys are remembered this long after their first use."
    )
    idempotency_lease_seconds: Seconds = Field(
        30,
        description="A creation under an Idempotency-Key that has not finished by then (its "
        "replica has died) may be begun anew.",
    )
    complete_timeout_seconds: Seconds = Field(
        120, description="Completing a multipart at the store: large ones take their time."
    )


class RelaySettings(Group):
    """Uploads through this service, for clients that cannot reach the store."""

    max_concurrent: Count = Field(
        20, description="Relays of one replica at once; more are told to come again."
    )
    max_per_user: Count = Field(5, description="Relays of one user at once, on one replica.")
    idle_seconds: Seconds = Field(
        30, description="Longest time without a byte from the client, or to the store."
    )
    least_rate: Annotated[int, Field(ge=0)] = Field(
        1024,
        description="Bytes a second that a client must send on the average, beyond the first "
        "`idle_seconds`.",
    )


class TicketSettings(Group):
    """Addresses for clients that can send no Authorization header (Uppy)."""

    companion_seconds: Count = Field(
        43_200, description="Life of a companion ticket: uploads begun with it expire with it."
    )
    operation_seconds: Count = Field(
        3600, description="Life of the ticket for one multipart operation of one upload."
    )


class CompletionSettings(Group):
    """From the store's word to a completed record."""

    inbox_limit: Annotated[int, Field(ge=5000)] = Field(
        100_000, description="Events waiting; beyond, webhooks get 503 and are sent again."
    )
    inbox_days: Count = Field(30, description="Processed events are kept this long.")
    batch: Count = Field(200, description="Events of one replica claimed at once.")
    concurrency: Count = Field(
        32, description="Events, and looks of the sweep, that one replica settles at once."
    )
    lease_seconds: Seconds = Field(60, description="A claim not finished by then is free again.")
    max_attempts: Count = Field(
        12, description="Tries of an event that fails by a fault of the service's own."
    )
    overdue_seconds: Seconds = Field(
        30, description="An upload without news for so long is looked up at the store."
    )
    sweep_interval_seconds: Seconds = Field(
        10, description="Pause between sweeps; one also runs at start."
    )
    absent_looks: Count = Field(
        8,
        description="Looks at the store, 1, 2, 4, … s apart, for what an event told of and is not "
        "shown (yet): about two minutes. After that the sweep alone looks on, for records.",
    )
    in_server: bool = Field(
        default=True,
        description="`uploadgate serve` completes and delivers, too; off where `uploadgate worker` "
        "does it.",
    )
    orphan_hours: Count = Field(
        168,
        description="Multiparts that no record in flight owns are aborted when they are older: "
        "those that stock clients began and left.",
    )
    orphan_interval_seconds: Seconds = Field(
        3600, description="Pause between walks through the bucket's multiparts."
    )
    scan_tag: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        None,
        description="Object tag by which a scanner gives its verdict on what is in quarantine, "
        "e.g. `GuardDutyMalwareScanStatus`; unset: by the admin call alone. Uploaders must not be "
        "able to set tags.",
    )
    scan_clean: list[str] = Field(
        default=["NO_THREATS_FOUND"], description="Values of `scan_tag` that release."
    )
    scan_rejected: list[str] = Field(
        default=["THREATS_FOUND"], description="Values of `scan_tag` that reject."
    )


class WebhookSettings(Group):
    """Which sources may say that an object has arrived."""

    seaweedfs_body_limit: Count = Field(
        16_777_216,
        description="Largest notification in bytes, read after the token has been checked: the "
        "filer lists every chunk of an object, about 490 bytes a part, and its metadata.",
    )
    sns_body_limit: Count = Field(
        524_288, description="Largest SNS message in bytes; SNS itself allows 256 KiB of text."
    )
    seaweedfs_tokens: list[SecretStr] = Field(
        default_factory=list,
        description="Bearer tokens of the SeaweedFS filer (two while one is being replaced); "
        "none: the address answers 404.",
    )
    eventbridge_keys: list[SecretStr] = Field(
        default_factory=list,
        description="API keys of the EventBridge connection, sent in `eventbridge_header` (two "
        "while one is being replaced); none: the address answers 404.",
    )
    eventbridge_header: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    ] = Field("X-Api-Key", description="Header that carries EventBridge's API key.")
    eventbridge_body_limit: Count = Field(
        524_288, description="Largest event in bytes; EventBridge itself allows 256 KiB."
    )
    sns_topic_arns: list[str] = Field(
        default_factory=list, description="Topics believed; none: the address answers 404."
    )
    sns_sha256_only: bool = Field(
        default=False, description="Accept SignatureVersion 2 only (set it on the topic first)."
    )
    sns_max_age_seconds: Annotated[int, Field(gt=3600)] = Field(
        7200, description="Oldest Timestamp; SNS itself retries for up to 3,600 s."
    )


class SqsSettings(Group):
    """The queue that `uploadgate worker` takes the store's events from."""

    queue_url: str | None = Field(None, description="Address of the queue; unset: no queue.")
    endpoint: str | None = Field(
        None, description="Where the service reaches SQS; unset: AWS's own."
    )
    wait_seconds: Annotated[int, Field(ge=0, le=20)] = Field(
        20, description="Long polling: how long a call waits for messages."
    )
    visibility_seconds: Annotated[int, Field(ge=10, le=43_200)] = Field(
        60, description="A message in hand is hidden this long; extended while it is worked on."
    )
    receivers: Count = Field(2, description="Calls for messages under way at once.")


class DeliverySettings(Group):
    """Outgoing webhooks: how the application hears. Endpoints are managed by the admin API and
    `uploadgate webhook`.
    """

    retry_seconds: Annotated[list[Seconds], Field(min_length=1, max_length=50)] = Field(
        default=[5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400],
        description="Pauses after each attempt that failed, with jitter; after the last one a "
        "message is given up (and can be replayed).",
    )
    timeout_seconds: Seconds = Field(15, description="One attempt, from connecting to the answer.")
    concurrency: Count = Field(32, description="Attempts of one replica under way at once.")
    per_endpoint: Count = Field(
        8, description="Of those to one endpoint, so that a slow one holds up no other."
    )
    lease_seconds: Seconds = Field(
        60,
        description="A claim not finished by then is free again; longer than an attempt by 5 s.",
    )
    rotation_hours: Count = Field(
        24, description="A replaced secret goes on signing beside the new one this long."
    )
    max_endpoints: Count = Field(50, description="Endpoints that may be registered.")
    allowed_networks: list[Network] = Field(
        default_factory=list,
        description="Networks that endpoints may lie in although they are private, e.g. "
        '`["10.20.0.0/16"]`. All others that are not public are refused.',
    )
    allow_http: bool = Field(
        default=False, description="Endpoints may be plain http, within `allowed_networks` only."
    )
    keep_days: Count = Field(
        30, description="Events are kept this long: for timelines, streams and replays."
    )


class EventSettings(Group):
    """`GET /v1/events`: how the page hears."""

    heartbeat_seconds: Seconds = Field(
        15, description="A comment is sent after so long without an event."
    )
    max_streams: Count = Field(10_000, description="Streams of one replica at once.")
    max_streams_per_user: Count = Field(20, description="Of one user, on one replica.")
    look_seconds: Seconds = Field(
        60, description="A stream looks by itself this often, should the replicas' news get lost."
    )
    send_seconds: Seconds = Field(
        30, description="A client that takes nothing for so long is cut off."
    )


class RedisSettings(Group):
    """Valkey or Redis, for what replicas share in flight: OpenID tokens (encrypted), who asks for
    one just now, the rate of calls to Cognito, failed logins, and news. Unset: news and the rate
    go through Postgres, everything is within the one process with SQLite.
    """

    url: SecretStr | None = Field(None, description="`redis://…` or `rediss://…`.")
    timeout_seconds: Seconds = Field(
        1,
        description="Connecting, and one command; shorter than `cognito.wait_seconds`, which has "
        "to leave time to go on without.",
    )
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_-]{1,64}$")] = Field(
        "uploadgate", description="First part of its channels and keys."
    )
    max_connections: Count = Field(
        50, description="Connections of one replica for commands; one that waits waits in turn."
    )


class Settings(BaseSettings):
    """The whole configuration; pass it to `create_app`."""

    model_config = SettingsConfigDict(
        env_prefix="UPLOADGATE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "production"] = Field(
        "production", description="`development` allows what is unsafe elsewhere."
    )
    public_url: str = Field(
        "http://127.0.0.1:8080", description="Where clients reach this service."
    )
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="Addresses or networks whose X-Forwarded-For and -Proto are believed.",
    )
    drain_seconds: Annotated[float, Field(ge=0)] = Field(
        10,
        description="After SIGTERM: unready, but serving on for so long, so that load balancers "
        "take the replica out first.",
    )
    required_dependencies: list[Dependency] = Field(
        default=["database"],
        description="Which dependencies make /readyz 503 when down; the others are listed as "
        "degraded.",
    )
    dependency_check_seconds: Seconds = Field(
        5, description="How long /readyz believes its last look at a dependency."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: Literal["json", "console"] = Field("json", description="Shape of the log lines.")
    docs: bool = Field(default=True, description="Serve /docs.")

    http: HttpSettings = HttpSettings()
    database: DatabaseSettings = DatabaseSettings()
    auth: AuthSettings = AuthSettings()
    aws: AwsSettings = AwsSettings()
    cognito: CognitoSettings = CognitoSettings()
    store: StoreSettings = StoreSettings()
    credentials: CredentialsSettings = CredentialsSettings()
    uploads: UploadSettings = UploadSettings()
    relay: RelaySettings = RelaySettings()
    tickets: TicketSettings = TicketSettings()
    completion: CompletionSettings = CompletionSettings()
    webhooks: WebhookSettings = WebhookSettings()
    sqs: SqsSettings = SqsSettings()
    delivery: DeliverySettings = DeliverySettings()
    events: EventSettings = EventSettings()
    redis: RedisSettings = RedisSettings()

    @model_validator(mode="after")
    def _refuse_what_is_unsafe(self) -> Self:
        problems = list(_contradictions(self))
        if self.environment != "development":
            problems += _unsafe(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _contradictions(settings: Settings) -> list[str]:
    found = []
    if (settings.aws.access_key_id is None) != (settings.aws.secret_access_key is None):
        found.append("aws.access_key_id and aws.secret_access_key go together")
    if any("*" in origin and origin != "*" for origin in settings.http.cors_origins):
        found.append("http.cors_origins takes whole origins, not patterns")
    keys = [key.get_secret_value() for key in settings.webhooks.eventbridge_keys]
    if any(not key or not key.isascii() or key.strip() != key for key in keys):
        # Such a one would let everybody in, or never match what a header can carry.
        found.append("webhooks.eventbridge_keys holds one that is empty, not ASCII or has spaces")
    if settings.redis.url is not None and not settings.redis.url.get_secret_value().startswith(
        ("redis://", "rediss://", "unix://")
    ):
        found.append("redis.url is none of redis://, rediss:// and unix://")
    if settings.redis.url is not None and (
        settings.redis.timeout_seconds >= settings.cognito.wait_seconds
    ):
        found.append("redis.timeout_seconds must be shorter than cognito.wait_seconds")
    queue = urlsplit(settings.sqs.queue_url or "https://none/none")
    if queue.scheme not in {"http", "https"} or not queue.netloc or not queue.path.strip("/"):
        found.append("sqs.queue_url is no address (https://…) of a queue")
    if settings.delivery.lease_seconds < settings.delivery.timeout_seconds + _UNTIL_NOTED:
        # Or else what was delivered is never noted as such, and sent again and again.
        found.append(
            f"delivery.lease_seconds must be {_UNTIL_NOTED} s longer than delivery.timeout_seconds"
        )
    if settings.completion.scan_tag and set(settings.completion.scan_clean) & set(
        settings.completion.scan_rejected
    ):
        found.append("completion.scan_clean and completion.scan_rejected share a value")
    return found


def _unsafe(settings: Settings) -> list[str]:
    """What is refused outside development. The texts name settings, never values."""
    found = []
    keys = [settings.auth.signing_key, *settings.auth.previous_signing_keys]
    if any(key.get_secret_value() == DEVELOPMENT_SIGNING_KEY for key in keys):
        found.append("auth.signing_key is the development default")
    if any(len(key.get_secret_value()) < 32 for key in keys):  # noqa: PLR2004 - HS256's key size
        found.append("auth.signing_key is shorter than 32 characters")
    if "*" in settings.http.cors_origins:
        found.append("http.cors_origins allows every origin")
    if any(len(token.get_secret_value()) < 16 for token in settings.webhooks.seaweedfs_tokens):  # noqa: PLR2004
        found.append("webhooks.seaweedfs_tokens holds a token shorter than 16 characters")
    if any(len(key.get_secret_value()) < 16 for key in settings.webhooks.eventbridge_keys):  # noqa: PLR2004
        found.append("webhooks.eventbridge_keys holds a key shorter than 16 characters")
    sqlite = settings.database.url.get_secret_value().startswith("sqlite")
    if settings.redis.url is not None and sqlite:
        found.append(
            "redis.url is for what replicas share, but database.url is SQLite, and each replica "
            "would have users and uploads of its own: set it to a Postgres, or leave redis.url out"
        )
    addresses = {
        "public_url": settings.public_url,
        "cognito.endpoint": settings.cognito.endpoint,
        "cognito.public_endpoint": settings.cognito.public_endpoint,
        "store.endpoint": settings.store.endpoint,
        "store.public_endpoint": settings.store.public_endpoint,
        "sqs.endpoint": settings.sqs.endpoint,
    }
    found += [
        f"{name} is not https"
        for name, address in addresses.items()
        if address is not None and urlsplit(address).scheme != "https"
    ]
    return found + [
        "http.cors_origins holds an http origin"
        for origin in settings.http.cors_origins
        if origin != "*" and urlsplit(origin).scheme != "https"
    ]
