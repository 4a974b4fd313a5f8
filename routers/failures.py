"""What can go wrong for whole groups of routes, for their documentation."""

import errors

CALLER = (
    errors.NotAuthenticatedError,
    errors.InvalidTokenError,
    errors.TokenExpiredError,
    errors.MissingScopeError,
    errors.InvalidRequestError,
    errors.OverloadedError,
    errors.UnavailableError,
)
"""Every route that asks who calls."""

JSON_BODY = (
    errors.InvalidRequestError,
    errors.MalformedJsonError,
    errors.UnsupportedMediaTypeError,
    errors.BodyTooLargeError,
    errors.RequestTimeoutError,
)
"""Every route that takes JSON."""

COGNITO = (
    errors.PolicyError,
    errors.TransportUnavailableError,
    errors.CognitoNotConfiguredError,
    errors.IdentityConflictError,
    errors.CognitoThrottledError,
    errors.CognitoUnavailableError,
    errors.CognitoAnswerError,
    errors.CognitoRefusedError,
)
"""Every route that may need an identity."""
