import asyncio
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from structlog.testing import capture_logs

from aws.sns.confirm import SubscriptionConfirmer
from errors import UploadgateError, WebhookForgedError, WebhookUnverifiableError
from tests.unit.sns.sender import CHINA_TOPIC, TOPIC

TOKEN = "2336412f37f"


@dataclass
class Sns:
    failure: Exception | None = None
    delay_seconds: float = 0
    regions: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    async def client(self, region: str) -> "Sns":
        self.regions.append(region)
        return self

    async def confirm_subscription(
        self,
        *,
        TopicArn: str,  # noqa: N803 - botocore's names
        Token: str,  # noqa: N803
        AuthenticateOnUnsubscribe: str,  # noqa: N803
    ) -> dict[str, str]:
        self.calls.append((TopicArn, Token, AuthenticateOnUnsubscribe))
        await asyncio.sleep(self.delay_seconds)
        if self.failure:
            raise self.failure
        return {"SubscriptionArn": f"{TopicArn}:1"}


def client_error(code: str) -> ClientError:
    error = {"Code": code, "Message": f"Invalid parameter: Token {TOKEN}"}
    return ClientError({"Error": error}, "ConfirmSubscription")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("arn", "region"), [(TOPIC, "us-east-1"), (CHINA_TOPIC, "cn-north-1")])
async def test_the_topics_own_region_is_told(arn: str, region: str) -> None:
    sns = Sns()
    await SubscriptionConfirmer(clients=sns.client)(arn, TOKEN)
    assert sns.regions == [region]
    assert sns.calls == [(arn, TOKEN, "true")]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (client_error("InvalidParameter"), WebhookForgedError),
        (client_error("InvalidParameterException"), WebhookForgedError),
        (client_error("NotFound"), WebhookForgedError),
        (client_error("Throttling"), WebhookUnverifiableError),
        (client_error("InternalError"), WebhookUnverifiableError),
        (client_error("AuthorizationError"), WebhookUnverifiableError),
        (client_error("SubscriptionLimitExceeded"), WebhookUnverifiableError),
        (EndpointConnectionError(endpoint_url="https://x"), WebhookUnverifiableError),
        (NoCredentialsError(), WebhookUnverifiableError),
        (ConnectionResetError(), WebhookUnverifiableError),
    ],
)
async def test_only_a_token_that_is_wrong_is_final(
    failure: Exception, error: type[UploadgateError]
) -> None:
    with pytest.raises(error) as caught, capture_logs() as logs:
        await SubscriptionConfirmer(clients=Sns(failure=failure).client)(TOPIC, TOKEN)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(logs)


async def test_a_call_that_hangs_is_given_up() -> None:
    confirm = SubscriptionConfirmer(clients=Sns(delay_seconds=30).client, timeout_seconds=0.01)
    with pytest.raises(WebhookUnverifiableError):
        await confirm(TOPIC, TOKEN)
