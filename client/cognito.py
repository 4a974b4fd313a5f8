"""GetCredentialsForIdentity: the unsigned call that turns an OpenID token into credentials.

In this flow a client never calls GetId: the identity is the one the grant names.
"""

from typing import Any

import botocore
import botocore.exceptions
from botocore.config import Config

from client.boto import bare_session, options_for
from client.problems import CredentialsError
from client.wire import Grant, Keys

_PASSING = frozenset({"TooManyRequestsException", "InternalErrorException"})


def credentials_for(grant: Grant) -> Keys:
    """Raises CredentialsError with Cognito's own code."""
    client: Any = bare_session().create_client(
        "cognito-identity",
        region_name=grant.place.region,
        endpoint_url=grant.cognito_endpoint,
        config=_config(grant.cognito_endpoint),
    )
    try:
        answer = client.get_credentials_for_identity(
            IdentityId=grant.identity_id, Logins=dict(grant.logins)
        )
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        text = f"Cognito refused the exchange: {code}"
        raise CredentialsError(text, passing=code in _PASSING) from None
    except botocore.exceptions.BotoCoreError as error:
        text = f"Cognito does not answer: {type(error).__name__}"
        raise CredentialsError(text, passing=True) from None
    finally:
        client.close()
    return _keys(answer["Credentials"])


def _config(endpoint: str | None) -> Config:
    return Config(
        signature_version=botocore.UNSIGNED,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 4},
        **options_for(endpoint),
    )


def _keys(found: dict[str, Any]) -> Keys:
    # The field is SecretKey here, unlike anywhere else at AWS.
    return Keys(
        found["AccessKeyId"], found["SecretKey"], found["SessionToken"], found["Expiration"]
    )
