"""Settings come from the environment, and unsafe ones are refused without telling their values."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from settings import DEVELOPMENT_SIGNING_KEY, Settings
from tests.fakes.aws_environment import without_ambient_aws

KEY = "a-signing-key-of-thirty-two-chars"
SAFE: dict[str, Any] = {"public_url": "https://up.example", "auth": {"signing_key": KEY}}


@pytest.fixture(autouse=True)
def _hermetic() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_ambient_aws(patch)
        yield


def test_production_is_the_default_and_these_are_enough() -> None:
    settings = Settings(**SAFE)
    assert settings.environment == "production"
    assert settings.auth.signing_key == SecretStr(KEY)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"auth": {}}, "auth.signing_key"),
        ({"auth": {"signing_key": DEVELOPMENT_SIGNING_KEY}}, "auth.signing_key"),
        ({"auth": {"signing_key": "x" * 31}}, "auth.signing_key"),
        (
            {"auth": {"signing_key": KEY, "previous_signing_keys": [DEVELOPMENT_SIGNING_KEY]}},
            "auth.signing_key",
        ),
        ({"auth": {"signing_key": KEY, "previous_signing_keys": ["brief"]}}, "auth.signing_key"),
        ({"http": {"cors_origins": ["*"]}}, "http.cors_origins"),
        ({"http": {"cors_origins": ["http://app.example"]}}, "http.cors_origins"),
        ({"http": {"cors_origins": ["https://ok.example", "null"]}}, "http.cors_origins"),
        ({"webhooks": {"seaweedfs_tokens": ["x" * 15]}}, "webhooks.seaweedfs_tokens"),
        ({"public_url": "http://up.example"}, "public_url"),
        ({"cognito": {"endpoint": "http://cognito.example"}}, "cognito.endpoint"),
        ({"cognito": {"public_endpoint": "http://cognito.example"}}, "cognito.public_endpoint"),
        ({"store": {"endpoint": "http://store.example"}}, "store.endpoint"),
        ({"store": {"public_endpoint": "store.example"}}, "store.public_endpoint"),
    ],
)
def test_what_is_unsafe_is_refused_by_name_outside_development(
    changes: dict[str, Any], name: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{**SAFE, **changes})
    assert name in str(caught.value)
    for value in _leaves(changes):
        assert value not in str(caught.value)
    allowed = Settings(**{**SAFE, **changes, "environment": "development"})
    assert allowed.environment == "development"


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif value != "*":
        yield str(value)


def test_all_that_is_unsafe_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(http={"cors_origins": ["*"]})
    for name in ("auth.signing_key", "http.cors_origins", "public_url"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"aws": {"access_key_id": "AKIA"}}, "aws.access_key_id"),
        ({"aws": {"secret_access_key": "hush-hush"}}, "aws.secret_access_key"),
        ({"http": {"cors_origins": ["https://*.example"]}}, "http.cors_origins"),
        ({"sqs": {"queue_url": "hush-hush"}}, "sqs.queue_url"),
        ({"sqs": {"queue_url": "https://sqs.eu-central-1.amazonaws.com"}}, "sqs.queue_url"),
        ({"sqs": {"queue_url": "https:///123456789012/uploads"}}, "sqs.queue_url"),
        ({"delivery": {"lease_seconds": 19.9}}, "delivery.lease_seconds"),
    ],
)
@pytest.mark.parametrize("environment", ["development", "production"])
def test_what_contradicts_itself_is_refused_everywhere(
    changes: dict[str, Any], name: str, environment: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{**SAFE, **changes, "environment": environment})
    assert name in str(caught.value)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"auth": {"signing_key": KEY, "singing_key": "hush-hush"}},
        {"environment": "staging"},
        {"http": {"port": 70_000}},
        {"http": {"max_concurrent": 0}},
        {"cognito": {"developer_provider_name": "a b"}},
        {"cognito": {"token_seconds": 86_401}},
        {"auth": {"signing_key": KEY, "hash_memory_kib": 8}},
        {"webhooks": {"sns_max_age_seconds": 3600}},
        {"required_dependencies": ["moon"]},
        {"database": {"url": ["hush-hush"]}},
        {"webhooks": {"seaweedfs_tokens": {"hush-hush": 1}}},
        {"uploads": {"part_size": 5_242_879}},
        {"uploads": {"part_size": 5_368_709_121}},
        {"uploads": {"multipart_threshold": 5_368_709_121}},
        {"uploads": {"url_seconds": 604_801}},
        {"relay": {"max_concurrent": 0}},
    ],
)
def test_what_cannot_be_is_refused_without_its_value(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{**SAFE, **changes})
    assert "hush-hush" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_lease_that_is_just_long_enough_is_taken() -> None:
    """The time-out of an attempt, and what it takes to note its answer."""
    delivery = {"timeout_seconds": 15, "lease_seconds": 20}
    assert Settings(**{**SAFE, "delivery": delivery}).delivery.lease_seconds == 20


def test_the_environment_sets_groups_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, str] = {
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_TRUSTED_PROXIES": '["10.0.0.0/8", "::1"]',
        "UPLOADGATE_REQUIRED_DEPENDENCIES": '["database", "store"]',
        "UPLOADGATE_HTTP__PORT": "0",
        "UPLOADGATE_HTTP__CORS_ORIGINS": '["https://a.example", "https://b.example"]',
        "UPLOADGATE_AUTH__SIGNING_KEY": KEY,
        "UPLOADGATE_AUTH__PREVIOUS_SIGNING_KEYS": json.dumps(["old-key"]),
        "UPLOADGATE_WEBHOOKS__SEAWEEDFS_TOKENS": json.dumps(["one", "two"]),
        "UPLOADGATE_UPLOADS__MAX_SIZE": "1000",
        "UPLOADGATE_STORE__ADOPTION": "false",
        "UPLOADGATE_STORE__ADOPTION_SKIPS": '["thumbnails/*"]',
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.trusted_proxies == ["10.0.0.0/8", "::1"]
    assert settings.required_dependencies == ["database", "store"]
    assert settings.http.port == 0
    assert settings.http.cors_origins == ["https://a.example", "https://b.example"]
    assert [key.get_secret_value() for key in settings.auth.previous_signing_keys] == ["old-key"]
    assert len(settings.webhooks.seaweedfs_tokens) == 2
    assert (settings.uploads.max_size, settings.store.adoption) == (1000, False)
    assert settings.store.adoption_skips == ["thumbnails/*"]


def test_profiles_are_json_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    avatar = {"max_size": 10, "content_types": ["image/*"], "extensions": ["png"], "quota": 0}
    free = {"max_in_flight": 2, "quarantine": True, "key_template": "{year}/{upload_id}"}
    profiles = json.dumps({"avatar": avatar, "default": {**free, "transports": ["relay"]}})
    monkeypatch.setenv("UPLOADGATE_UPLOADS__PROFILES", profiles)
    found = Settings(**SAFE).uploads.profiles
    assert found["avatar"].model_dump(exclude_defaults=True) == avatar
    assert found["avatar"].transports == ["credentials", "presigned", "relay"]
    assert found["default"].max_in_flight == 2
    assert found["default"].quarantine
    assert (found["default"].transports, found["default"].max_size) == (["relay"], None)


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ({"key_template": "{filename}"}, "key_template"),
        ({"key_template": "../{upload_id}"}, "key_template"),
        ({"key_template": "{upload_id}/{user_id}"}, "key_template"),
        ({"content_types": ["image"]}, "content_types"),
        ({"content_types": ["*/*"]}, "content_types"),
        ({"content_types": ["image/png; q=1"]}, "content_types"),
        ({"content_types": "image/png"}, "content_types"),
        ({"extensions": [".png"]}, "extensions"),
        ({"extensions": [""]}, "extensions"),
        ({"transports": []}, "transports"),
        ({"transports": ["pigeon"]}, "transports"),
        ({"max_size": -1}, "max_size"),
        ({"max_size": 1.5}, "max_size"),
        ({"quota": -1}, "quota"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"maximum": 1}, "maximum"),
        (7, "avatar"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_by_name(
    profile: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADGATE_UPLOADS__PROFILES", json.dumps({"avatar": profile}))
    with pytest.raises(ValidationError, match=rf"(?m)^uploads\.profiles\.(avatar\.)?{name}"):
        Settings(**SAFE)


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "é", "x" * 65])
def test_a_profile_of_a_name_that_no_request_can_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings(**SAFE, uploads={"profiles": {name: {}}})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"avatar"', "{'avatar': {}}"])
def test_profiles_that_are_no_json_object_are_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADGATE_UPLOADS__PROFILES", text)
    with pytest.raises(ValueError, match="uploads"):
        Settings(**SAFE)


def test_a_list_that_is_no_json_is_refused_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UPLOADGATE_WEBHOOKS__SEAWEEDFS_TOKENS", "hush-hush")
    with pytest.raises(ValueError, match="webhooks") as caught:
        Settings(**SAFE)
    assert "hush-hush" not in str(caught.value)


def test_a_printed_configuration_shows_no_secret() -> None:
    settings = Settings(
        environment="development",
        auth={"signing_key": KEY, "previous_signing_keys": ["hush-hush"]},
        aws={"access_key_id": "AKIA", "secret_access_key": "hush-hush"},
        database={"url": "postgresql+asyncpg://u:hush-hush@db/x"},
        webhooks={"seaweedfs_tokens": ["hush-hush"]},
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hush-hush" not in shown
        assert KEY not in shown


def test_settings_do_not_change() -> None:
    settings = Settings(**SAFE)
    for group in (settings, settings.http):
        with pytest.raises(ValidationError):
            group.docs = False  # type: ignore[misc, union-attr]


def test_types_and_endings_may_be_written_in_any_case() -> None:
    profile = {"content_types": ["Image/PNG", "VIDEO/*"], "extensions": ["PNG", "Tar"]}
    made = Settings(**SAFE, uploads={"profiles": {"avatar": profile}}).uploads.profiles["avatar"]
    assert (made.content_types, made.extensions) == (["image/png", "video/*"], ["png", "tar"])


@pytest.mark.parametrize(
    "profile", [{"content_types": ["png"]}, {"extensions": [".png"]}, {"extensions": [7]}]
)
def test_types_and_endings_that_nothing_could_have_are_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**SAFE, uploads={"profiles": {"avatar": profile}})
