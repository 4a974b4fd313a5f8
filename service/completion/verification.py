"""Is what the store holds what was announced? Pure."""

from dataclasses import dataclass

from service.uploads.excess import excess
from service.uploads.model import Checksum, Upload
from service.uploads.policy import Profile
from service.uploads.ports import StoredObject


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is shown to the user; None where there is nothing to say."""

    accepted: bool
    reason: str | None = None


def verify(upload: Upload, stored: StoredObject, profile: Profile) -> Verdict:
    """Readable at all, then size against announcement and limit, type, then the checksum."""
    fault = _fault(upload, stored, profile)
    if fault is not None:
        return Verdict(accepted=False, reason=fault)
    return _compared(upload.declared_checksum, stored.checksum)


def _fault(upload: Upload, stored: StoredObject, profile: Profile) -> str | None:
    if not stored.readable:
        return "it cannot be read: encrypted with the client's own key, or its headers too large"
    if upload.declared_size is not None and stored.size != upload.declared_size:
        return f"{upload.declared_size} bytes were announced, {stored.size} arrived"
    if stored.size > profile.largest:
        return f"more than the {profile.largest} bytes allowed"
    return excess(upload, stored.size, profile) or _kind(upload, stored, profile)


def _kind(upload: Upload, stored: StoredObject, profile: Profile) -> str | None:
    if not profile.takes_type(stored.content_type):
        return "its content type is not allowed"
    if not profile.takes_name(upload.filename):
        return "its name's extension is not allowed"
    return None


def _compared(wanted: Checksum | None, found: Checksum | None) -> Verdict:
    """A checksum that the store does not hold in full-object form cannot be compared; that is
    said, and not taken as a fault of the object: a stock client may have sent another kind.
    """
    if wanted is None:
        return Verdict(accepted=True)
    if found is None or found.algorithm != wanted.algorithm:
        return Verdict(accepted=True, reason="the store holds no such checksum to compare")
    if found.value != wanted.value:
        return Verdict(accepted=False, reason=f"the {wanted.algorithm} checksum differs")
    return Verdict(accepted=True)
