"""The one tree of domain errors. They know no HTTP: routers/problems.py holds the one table
that maps each to a status.

Every concrete class has a stable machine `code`, promised to clients, and where a client can act
a `retry_mode` that says how. `str(error)` is shown to clients as the problem's detail: it must
never hold a secret, a token, a presigned URL or another user's data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

RetryMode = Literal["refresh", "resign", "switch_transport", "wait", "fatal"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the fields RateLimit and RateLimit-Policy say (draft-ietf-httpapi-ratelimit-headers):
    `quota` calls in `window` seconds, of which `remaining` are left for the next `reset` seconds.
    """

    name: str
    quota: int
    window: int
    remaining: int
    reset: int


class UploadgateError(Exception):
    """The root. `retry_after` is in whole seconds, where waiting helps. `facts` become members of
    the problem document (RFC 9457's extensions): what a program needs in order to go on.
    `rate_limit` is the bound that was met, where one was.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    retry_mode: RetryMode | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: int | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.retry_after = retry_after
        self.rate_limit = rate_limit

    @property
    def facts(self) -> Mapping[str, object]:
        return {}


# --- the request ---------------------------------------------------------------------------------


class InvalidRequestError(UploadgateError):
    code = "invalid_request"
    title = "The request is not valid"


class MalformedJsonError(UploadgateError):
    code = "malformed_json"
    title = "The body is not valid JSON"


class UnsupportedMediaTypeError(UploadgateError):
    code = "unsupported_media_type"
    title = "The body is of a type that is not accepted here"


class BodyTooLargeError(UploadgateError):
    code = "body_too_large"
    title = "The body is larger than allowed"


class HeadersTooLargeError(UploadgateError):
    """Answered by the server itself, before the application sees the request."""

    code = "headers_too_large"
    title = "The request's headers are larger than allowed"


class RequestTimeoutError(UploadgateError):
    code = "request_timeout"
    title = "The body did not arrive in time"


class NotFoundError(UploadgateError):
    code = "not_found"
    title = "There is nothing at this address"


class MethodNotAllowedError(UploadgateError):
    code = "method_not_allowed"
    title = "This address does not take that method"


class OverloadedError(UploadgateError):
    code = "overloaded"
    title = "The service has more to do than it can take on"
    retry_mode = "wait"


class UnavailableError(UploadgateError):
    """A part that the service needs (its database, say) does not answer. `busy`: it was not even
    asked, as too many others ask already.
    """

    code = "unavailable"
    title = "The service cannot serve this now"
    retry_mode = "wait"
    busy = False


class InternalError(UploadgateError):
    code = "internal_error"
    title = "The service failed"


class IdempotencyKeyReusedError(UploadgateError):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"
    retry_mode = "fatal"


class IdempotencyInFlightError(UploadgateError):
    """The first request under this key is still being answered, or its replica has just died."""

    code = "idempotency_in_flight"
    title = "A request with this Idempotency-Key is being handled just now"
    retry_mode = "wait"


# --- who is calling ------------------------------------------------------------------------------


class InvalidCredentialsError(UploadgateError):
    code = "invalid_credentials"
    title = "Unknown user name or wrong password"


class TooManyAttemptsError(UploadgateError):
    code = "too_many_attempts"
    title = "Too many failed attempts"
    retry_mode = "wait"


class NotAuthenticatedError(UploadgateError):
    code = "not_authenticated"
    title = "An access token is needed"
    retry_mode = "refresh"


class InvalidTokenError(UploadgateError):
    code = "invalid_token"
    title = "The access token is not valid"
    retry_mode = "refresh"


class TokenExpiredError(InvalidTokenError):
    code = "token_expired"
    title = "The access token has expired"


class InvalidRefreshTokenError(UploadgateError):
    code = "invalid_refresh_token"
    title = "The refresh token is not valid"
    retry_mode = "fatal"


class MissingScopeError(UploadgateError):
    code = "missing_scope"
    title = "The caller lacks the scope this needs"
    retry_mode = "fatal"


class UserExistsError(UploadgateError):
    code = "user_exists"
    title = "A user of that name exists"


class UnknownUserError(UploadgateError):
    code = "unknown_user"
    title = "There is no such user"


# --- grants --------------------------------------------------------------------------------------


class PolicyError(UploadgateError):
    """Temporary credentials cannot cap size, type or quota, so the policy forbids them here."""

    code = "policy"
    title = "The policy does not allow credentials for this caller"
    retry_mode = "switch_transport"


class TransportUnavailableError(UploadgateError):
    code = "transport_unavailable"
    title = "This transport cannot be had here"
    retry_mode = "fatal"


class CognitoNotConfiguredError(UploadgateError):
    code = "cognito_not_configured"
    title = "No identity pool is configured"
    retry_mode = "switch_transport"


class CognitoThrottledError(UploadgateError):
    code = "cognito_throttled"
    title = "Cognito asks to slow down"
    retry_mode = "wait"


class CognitoUnavailableError(UploadgateError):
    """No answer in time, a refused connection, or an internal error of Cognito's. `passing`: one
    that came at once, as of a kept connection that was closed meanwhile; the next call may well
    succeed.
    """

    code = "cognito_unavailable"
    title = "Cognito does not answer"
    retry_mode = "wait"
    passing = False


class CognitoAnswerError(CognitoUnavailableError):
    """An answer that does not have the shape of the API's model."""

    code = "cognito_bad_answer"
    title = "Cognito's answer makes no sense"


class CognitoRefusedError(UploadgateError):
    """The pool, its roles or the service's own rights are not set up as they must be."""

    code = "cognito_refused"
    title = "Cognito refused the request"
    retry_mode = "fatal"


class IdentityConflictError(UploadgateError):
    """The user is registered under another identity, or a login is linked elsewhere."""

    code = "identity_conflict"
    title = "The user is bound to another identity"
    retry_mode = "fatal"


# --- uploads -------------------------------------------------------------------------------------


class UploadNotFoundError(UploadgateError):
    code = "upload_not_found"
    title = "There is no such upload"
    retry_mode = "fatal"


class UploadStateError(UploadgateError):
    """The upload is in a state in which this cannot be done, or moves on just now: look again.
    `final`: no state that it can come to allows it.
    """

    code = "upload_state"
    title = "The upload is not in a state that allows this"
    retry_mode: RetryMode | None = "wait"

    def __init__(
        self, detail: str | None = None, *, retry_after: int | None = None, final: bool = False
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        if final:
            self.retry_mode = "fatal"


class UnknownProfileError(UploadgateError):
    code = "unknown_profile"
    title = "There is no such upload profile"
    retry_mode = "fatal"


class UploadTooLargeError(UploadgateError):
    code = "upload_too_large"
    title = "The file is larger than allowed"
    retry_mode = "fatal"


class UploadEndedError(UploadgateError):
    """Aborted, expired, deleted: nothing more can be done with this upload."""

    code = "upload_ended"
    title = "The upload has ended"
    retry_mode = "fatal"


class UploadRejectedError(UploadgateError):
    """What arrived is not what was announced or allowed; it has been deleted."""

    code = "upload_rejected"
    title = "What arrived was rejected"
    retry_mode = "fatal"


class UploadIncompleteError(UploadgateError):
    """`missing` are the numbers of the parts to be sent (again), at most `most_named` of them."""

    code = "upload_incomplete"
    title = "Not everything has arrived"
    retry_mode = "resign"
    most_named = 1000

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: int | None = None,
        missing: Sequence[int] = (),
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.missing = tuple(missing[: self.most_named])

    @property
    def facts(self) -> Mapping[str, object]:
        return {"missing_parts": list(self.missing)} if self.missing else {}


class MultipartGoneError(UploadgateError):
    """The store knows the multipart no more (a lifecycle rule aborts old ones). Asking for parts
    makes a new one, into which all parts must be sent again.
    """

    code = "multipart_gone"
    title = "The store has dropped the parts that were sent"
    retry_mode = "resign"


class InvalidPartError(UploadgateError):
    code = "invalid_part"
    title = "There is no such part in this upload's plan"
    retry_mode = "fatal"


class ContentRangeError(UploadgateError):
    """`expected_offset` is the byte from which on the content is to be sent."""

    code = "content_range"
    title = "The content does not begin where it is to go on"

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: int | None = None,
        expected_offset: int | None = None,
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.expected_offset = expected_offset

    @property
    def facts(self) -> Mapping[str, object]:
        return {} if self.expected_offset is None else {"expected_offset": self.expected_offset}


class ContentTypeRefusedError(UploadgateError):
    code = "content_type_refused"
    title = "Files of this type are not taken here"
    retry_mode = "fatal"


class QuotaExceededError(UploadgateError):
    code = "quota_exceeded"
    title = "The file does not fit into what is left of the quota"
    retry_mode = "fatal"


class TooManyUploadsError(UploadgateError):
    """Of one user; waiting helps once one of them has ended."""

    code = "too_many_uploads"
    title = "Too many uploads are in flight"
    retry_mode = "wait"

    def __init__(self, detail: str | None = None, *, retry_after: int | None = 10) -> None:
        super().__init__(detail, retry_after=retry_after)


class InvalidTicketError(UploadgateError):
    """Forged, expired, revoked, or for something else."""

    code = "invalid_ticket"
    title = "The ticket is not valid"
    retry_mode = "resign"


class StoreUnavailableError(UploadgateError):
    code = "store_unavailable"
    title = "The object store does not answer"
    retry_mode = "wait"


class StoreRefusedError(UploadgateError):
    """The service's own rights at the store are not what they must be."""

    code = "store_refused"
    title = "The object store refused the request"


# --- the store's word ----------------------------------------------------------------------------


class WebhookDisabledError(UploadgateError):
    code = "webhook_disabled"
    title = "This webhook source is not configured"


class WebhookForgedError(UploadgateError):
    """Whatever does not prove where it comes from: refused before anything is done."""

    code = "webhook_forged"
    title = "The message does not prove that it comes from its source"


class WebhookMalformedError(UploadgateError):
    code = "webhook_malformed"
    title = "The message does not have the shape of its source's messages"


class WebhookUnverifiableError(UploadgateError):
    """A transient failure while verifying: the source must send the message again (5xx)."""

    code = "webhook_unverifiable"
    title = "The message could not be verified now"
    retry_mode = "wait"


# --- telling what happened -----------------------------------------------------------------------


class EndpointNotFoundError(UploadgateError):
    code = "webhook_endpoint_not_found"
    title = "There is no such webhook endpoint"
    retry_mode = "fatal"


class InvalidEndpointError(UploadgateError):
    """An address that is not to be sent to: not https, or within a private network."""

    code = "invalid_webhook_endpoint"
    title = "Webhooks are not sent to this address"
    retry_mode = "fatal"


class TooManyEndpointsError(UploadgateError):
    code = "too_many_webhook_endpoints"
    title = "There are as many webhook endpoints as there may be"
    retry_mode = "fatal"


class TooManyStreamsError(UploadgateError):
    """Of one user; a page that is closed ends its stream."""

    code = "too_many_streams"
    title = "Too many event streams are open"
    retry_mode = "wait"

    def __init__(self, detail: str | None = None, *, retry_after: int | None = 10) -> None:
        super().__init__(detail, retry_after=retry_after)
