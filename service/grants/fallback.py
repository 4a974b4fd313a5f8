"""Why a grant is a presigned one."""

from errors import (
    CognitoNotConfiguredError,
    CognitoRefusedError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    PolicyError,
    UploadgateError,
)
from service.grants.model import Reason

# What stands between a caller and credentials, but not between them and presigned addresses.
# A database that is away is none of these: it is needed for both.
OBSTACLES = (
    PolicyError,
    CognitoNotConfiguredError,
    CognitoThrottledError,
    CognitoUnavailableError,
    CognitoRefusedError,
    IdentityConflictError,
)


def reason_of(obstacle: UploadgateError) -> Reason:
    """What only the operator can act on is told to the client as `cognito_unavailable`."""
    if isinstance(obstacle, PolicyError):
        return "policy"
    if isinstance(obstacle, CognitoNotConfiguredError):
        return "cognito_not_configured"
    if isinstance(obstacle, CognitoThrottledError):
        return "cognito_throttled"
    return "cognito_unavailable"
