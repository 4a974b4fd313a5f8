"""What may be uploaded, and when temporary credentials may be given for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from errors import PolicyError, UnknownProfileError, UploadTooLargeError

# 10,000 parts of 5 GiB: the largest object S3 takes.
LARGEST_OBJECT = 10_000 * 5 * 1024**3

IssueCredentials = Literal["when_unlimited", "checked_after_arrival", "never"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of upload. `max_size` in bytes, None for the store's own limit."""

    name: str = "default"
    max_size: int | None = None

    @property
    def limited(self) -> bool:
        return self.max_size is not None

    @property
    def largest(self) -> int:
        return LARGEST_OBJECT if self.max_size is None else self.max_size


@dataclass(frozen=True, slots=True)
class Policy:
    """Asked wherever credentials could be issued: grants and exchange alike."""

    profiles: Sequence[Profile]
    issue: IssueCredentials = "when_unlimited"

    def profile(self, name: str | None) -> Profile:
        """Raises UnknownProfileError. None means the first profile."""
        if name is None:
            return self.profiles[0]
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise UnknownProfileError

    def check_size(self, profile: Profile, size: int) -> None:
        """Raises UploadTooLargeError, naming the limit."""
        if size > profile.largest:
            raise UploadTooLargeError(f"The largest file allowed here has {profile.largest} bytes")

    def check_credentials(self) -> None:
        """Raises PolicyError where temporary credentials, which cap nothing, may not be given."""
        if self.issue == "never":
            raise PolicyError("Credentials are switched off here")
        if self.issue == "when_unlimited" and any(profile.limited for profile in self.profiles):
            raise PolicyError("Credentials cannot hold the limits that apply to this caller")
