"""Is what the store holds what was announced? Pure."""

from dataclasses import dataclass

from service.uploads.model import Upload
from service.uploads.policy import Profile
from service.uploads.ports import StoredObject


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is shown to the user; None where there is nothing to say."""

    accepted: bool
    reason: str | None = None


def verify(upload: Upload, stored: StoredObject, profile: Profile) -> Verdict:
    """Size against announcement and limit, then the checksum.

    A checksum that the store does not hold in full-object form cannot be compared; that is said,
    and not taken as a fault of the object: a stock client may have sent another kind.
    """
    if upload.declared_size is not None and stored.size != upload.declared_size:
        return Verdict(
            accepted=False,
            reason=f"{upload.declared_size} bytes were announced, {stored.size} arrived",
        )
    if stored.size > profile.largest:
        return Verdict(accepted=False, reason=f"more than the {profile.largest} bytes allowed")
    wanted = upload.declared_checksum
    if wanted is None:
        return Verdict(accepted=True)
    if stored.checksum is None or stored.checksum.algorithm != wanted.algorithm:
        return Verdict(accepted=True, reason="the store holds no such checksum to compare")
    if stored.checksum.value != wanted.value:
        return Verdict(accepted=False, reason=f"the {wanted.algorithm} checksum differs")
    return Verdict(accepted=True)
