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
    errors.CognitoNotConfiguredError,
    errors.IdentityConflictError,
    errors.CognitoThrottledError,
    errors.CognitoUnavailableError,
    errors.CognitoAnswerError,
    errors.CognitoRefusedError,
)
"""Every route that may need an identity."""

STORE = (errors.StoreUnavailableError, errors.StoreRefusedError)
"""Every route that may ask the object store, or sign for it."""

IN_FLIGHT = (errors.UploadEndedError, errors.UploadRejectedError, errors.UploadStateError)
"""Every route for an upload in a certain state."""
