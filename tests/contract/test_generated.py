"""The generated documents are current, and the OpenAPI document promises what it should."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from routers import problems
from routers.problems import MEDIA_TYPE, Problem
from settings import DEVELOPMENT_SIGNING_KEY, ProfileSettings, Settings
from tools import generate
from tools.settings_page import settings_page, variables

# Names of functions in every client that was ever generated: add to them, never change one.
OPERATIONS = {
    "companion_abort",
    "companion_begin",
    "companion_complete",
    "companion_form",
    "companion_parts",
    "companion_sign_part",
    "companion_sign_parts",
    "companion_sts",
    "complete_upload",
    "create_grant",
    "create_upload",
    "create_uppy_ticket",
    "create_webhook_endpoint",
    "delete_upload",
    "delete_webhook_endpoint",
    "download_upload",
    "exchange_credentials",
    "get_me",
    "get_upload",
    "get_upload_timeline",
    "get_webhook_endpoint",
    "give_verdict",
    "list_parts",
    "list_uploads",
    "list_webhook_deliveries",
    "list_webhook_endpoints",
    "livez",
    "login",
    "login_form",
    "logout",
    "presign_s3_request",
    "readyz",
    "receive_eventbridge",
    "receive_seaweedfs",
    "receive_sns",
    "refresh",
    "relay_content",
    "replay_webhook_events",
    "revoke_uppy_tickets",
    "rotate_webhook_secret",
    "sign_parts",
    "stream_events",
    "switch_transport",
    "test_webhook_endpoint",
    "update_webhook_endpoint",
}
# A form's fields have no model, so FastAPI names this one itself.
AUTOMATIC_NAMES = {"Body_login_form"}
# It answers the same report whether ready or not.
REPORTS = {("readyz", "503")}


@pytest.fixture(scope="module")
def document() -> Any:
    return generate.openapi()


def operations(document: Any) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def failures(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for operation in operations(document):
        for status, response in operation["responses"].items():
            name = operation["operationId"]
            if status.startswith(("4", "5")) and (name, status) not in REPORTS:
                yield name, status, response


def test_every_document_is_current() -> None:
    assert list(generate.outdated()) == [], "run make generate"


def test_what_the_environment_says_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = generate.documents()
    monkeypatch.setenv("UPLOADGATE_DOCS", "false")
    monkeypatch.setenv("UPLOADGATE_HTTP__PORT", "nonsense")
    assert generate.documents() == before


def test_every_setting_is_on_its_page() -> None:
    page = settings_page(Settings)
    names = [f"UPLOADGATE_{name}".upper() for name in _names(Settings)]
    assert sorted(variables(Settings)) == sorted(names)
    assert all(f"| `{name}` |" in page for name in names)


def _names(settings: type[BaseSettings]) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (f"{name}__{inner}" for inner in kind.model_fields)
        else:
            yield name


def test_every_field_of_a_profile_is_on_the_page_and_has_its_bounds() -> None:
    page = settings_page(Settings)
    profiles = page[page.index("## Profiles") :]
    for name in ProfileSettings.model_fields:
        assert f"| `{name}` |" in profiles
    assert "| `transports` | list of `credentials`, `presigned` or `relay`, 1 or more |" in profiles
    assert "| `UPLOADGATE_UPLOADS__PROFILES` | JSON object | `{}` |" in page


def test_no_secret_is_on_the_page() -> None:
    assert DEVELOPMENT_SIGNING_KEY not in settings_page(Settings)


def test_a_setting_without_description_is_refused() -> None:
    class Group(BaseModel):
        size: int = 1

    class Inner(BaseModel):
        length: int = 1

    class Objects(BaseModel):
        kinds: dict[Annotated[str, StringConstraints(pattern=r"^[a-z]$")], Inner] = Field(
            default_factory=dict, description="By name."
        )

    class Undescribed(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="X_", env_nested_delimiter="__")
        told: int = Field(1, description="What it does.")
        untold: int = Field(1, description=" ")
        group: Group = Group()
        objects: Objects = Objects()

    with pytest.raises(ValueError, match=r"X_UNTOLD, X_GROUP__SIZE, Kinds: length$"):
        settings_page(Undescribed)


def test_operations_are_named_described_and_stable(document: Any) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    assert set(names) == OPERATIONS
    assert all(each["summary"] and each["tags"] for each in operations(document))


def test_every_failure_is_a_problem_with_an_example_of_each_code(document: Any) -> None:
    statuses = {kind.code: status.value for kind, status in problems.STATUS.items()}
    for name, status, response in failures(document):
        where = f"{name} {status}"
        assert list(response["content"]) == [MEDIA_TYPE], where
        content = response["content"][MEDIA_TYPE]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, where
        assert content["examples"], where
        for code, example in content["examples"].items():
            problem = Problem.model_validate(example["value"])
            assert (problem.code, str(problem.status)) == (code, status), where
            assert statuses[code] == problem.status, where


def test_the_readiness_report_is_the_only_other_failure(document: Any) -> None:
    found = {
        (operation["operationId"], status)
        for operation in operations(document)
        for status, response in operation["responses"].items()
        if status.startswith(("4", "5")) and MEDIA_TYPE not in response["content"]
    }
    assert found == REPORTS


def test_a_grant_is_discriminated_by_its_mode(document: Any) -> None:
    answer = document["paths"]["/v1/credentials"]["post"]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"]
    assert schema["discriminator"]["propertyName"] == "mode"
    assert set(schema["discriminator"]["mapping"]) == {"cognito", "presigned", "sts"}
    assert {each["$ref"] for each in schema["oneOf"]} == set(
        schema["discriminator"]["mapping"].values()
    )


def test_schemas_have_names_of_our_own(document: Any) -> None:
    automatic = {
        name
        for name in document["components"]["schemas"]
        if name.startswith(("Body_", "HTTPValidation", "ValidationError")) or "__" in name
    }
    assert automatic <= AUTOMATIC_NAMES
