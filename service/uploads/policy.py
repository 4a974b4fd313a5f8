"""What may be uploaded, and when temporary credentials may be given for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from errors import ContentTypeRefusedError, PolicyError, UnknownProfileError, UploadTooLargeError
from service.uploads.keys import DEFAULT_TEMPLATE
from service.uploads.model import Transport
from service.uploads.plan import LARGEST_OBJECT
from service.uploads.quota import Limits

__all__ = ["LARGEST_OBJECT", "IssueCredentials", "Policy", "Profile"]

IssueCredentials = Literal["when_unlimited", "checked_after_arrival", "never"]
EVERY_TRANSPORT = frozenset(Transport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of upload. `max_size` and `quota` in bytes, None for no limit; `quota` is a user's,
    over all their uploads of this profile. `content_types` may end in `/*`; an empty list takes
    every type. `extensions` are in lower case, without the dot; an empty list takes every name.
    """

    name: str = "default"
    max_size: int | None = None
    content_types: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    max_in_flight: int | None = None
    quota: int | None = None
    key_template: str = DEFAULT_TEMPLATE
    quarantine: bool = False
    transports: frozenset[Transport] = EVERY_TRANSPORT

    @property
    def limited(self) -> bool:
        """Whether temporary credentials, which cap nothing, would get round a limit."""
        sizes = (self.max_size, self.max_in_flight, self.quota)
        named = self.content_types or self.extensions
        closed = Transport.CREDENTIALS not in self.transports
        return any(size is not None for size in sizes) or bool(named) or closed

    @property
    def largest(self) -> int:
        return LARGEST_OBJECT if self.max_size is None else self.max_size

    @property
    def ceiling(self) -> int:
        """The most that one object may have whose size nobody announced."""
        return min(self.largest, self.largest if self.quota is None else self.quota)

    @property
    def limits(self) -> Limits:
        return Limits(self.quota, self.max_in_flight)

    def reservation(self, size: int | None) -> int:
        """What an upload of this size reserves; one whose size nobody knows, all it may have."""
        if size is not None:
            return size
        known = [limit for limit in (self.max_size, self.quota) if limit is not None]
        return min(known, default=0)

    def takes_type(self, content_type: str) -> bool:
        kind = content_type.partition(";")[0].strip().lower()
        family = f"{kind[: kind.find('/') + 1]}*"
        return not self.content_types or kind in self.content_types or family in self.content_types

    def takes_name(self, filename: str) -> bool:
        _, dot, extension = filename.rpartition(".")
        return not self.extensions or (bool(dot) and extension.lower() in self.extensions)


@dataclass(frozen=True, slots=True)
class Policy:
    """Asked wherever an upload begins, and wherever credentials could be issued: grants,
    exchange and tickets alike.
    """

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

    def of_record(self, name: str) -> Profile:
        """The profile of a record made earlier; the first one where it is configured no more."""
        try:
            return self.profile(name)
        except UnknownProfileError:
            return self.profiles[0]

    def check(self, profile: Profile, *, filename: str, content_type: str) -> None:
        """Raises ContentTypeRefusedError, naming what is taken."""
        if not profile.takes_type(content_type):
            raise ContentTypeRefusedError(f"Taken here: {', '.join(profile.content_types)}")
        if not profile.takes_name(filename):
            taken = ", ".join(f".{extension}" for extension in profile.extensions)
            raise ContentTypeRefusedError(f"Names taken here end in {taken}")

    def check_size(self, profile: Profile, size: int) -> None:
        """Raises UploadTooLargeError, naming the limit."""
        if size > profile.largest:
            raise UploadTooLargeError(f"The largest file allowed here has {profile.largest} bytes")

    def check_transport(self, profile: Profile, transport: Transport) -> None:
        """Raises PolicyError."""
        if transport not in profile.transports:
            raise PolicyError(f"The profile does not allow the transport {transport}")
        if transport is Transport.CREDENTIALS:
            self.check_credentials()

    def check_credentials(self) -> None:
        """Raises PolicyError where temporary credentials, which cap nothing, may not be given."""
        if self.issue == "never":
            raise PolicyError("Credentials are switched off here")
        if self.issue == "when_unlimited" and any(profile.limited for profile in self.profiles):
            raise PolicyError("Credentials cannot hold the limits that apply to this caller")
