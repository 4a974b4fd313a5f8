"""What can go wrong for a client: one tree, each with a stable code, a title and a detail.

None of them holds a secret: no token, no key, no signed URL.
"""

from collections.abc import Mapping
from typing import Any, Literal

RetryMode = Literal["refresh", "resign", "switch_transport", "wait", "fatal"]


class ClientError(Exception):
    """The root. `code` is for programs, `title` and `detail` for people."""

    code: str = "client_error"
    title: str = "The client failed"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.title)

    @property
    def detail(self) -> str:
        return str(self)


class ApiError(ClientError):
    """A problem (RFC 9457) that the service answered with. `retry_after` is in seconds; `facts`
    is the whole document (`missing_parts`, `expected_offset`, …).
    """

    def __init__(
        self,
        code: str,
        title: str,
        detail: str,
        *,
        status: int,
        retry_mode: RetryMode | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.facts = facts or {}
        self.code = code
        self.title = title
        self.status = status
        self.retry_mode = retry_mode
        self.request_id = request_id
        self.retry_after = retry_after


class NetworkError(ClientError):
    """No answer. `sent` is false where the request cannot have reached the service."""

    code = "network"
    title = "The service does not answer"

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


class BadAnswerError(ClientError):
    code = "bad_answer"
    title = "The answer does not have the expected shape"


class SessionError(ClientError):
    """There is no login to go by, or the stored one is of no use any more."""

    code = "session"
    title = "Not logged in"


class CredentialsError(ClientError):
    """The service grants no temporary credentials here, or Cognito does not exchange them.
    `passing`: later there may be some.
    """

    code = "credentials"
    title = "There are no temporary credentials"

    def __init__(self, detail: str | None = None, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.passing = passing


class TransferError(ClientError):
    """The store refused, could not be reached, or took too long."""

    code = "transfer"
    title = "The store did not take the file"


class TransferCancelledError(ClientError):
    code = "cancelled"
    title = "The upload was cancelled"


class FileError(ClientError):
    code = "file"
    title = "The file cannot be uploaded"


class ChecksumUnavailableError(ClientError):
    code = "checksum_unavailable"
    title = "This checksum cannot be computed here"


class NotVerifiedError(ClientError):
    """The bytes are at the store, but the service has not said so in the time given."""

    code = "not_verified"
    title = "The upload has not been verified yet"


class RejectedError(ClientError):
    """The record ended otherwise than completed. `status` is where it ended."""

    code = "rejected"
    title = "The upload was not accepted"

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
