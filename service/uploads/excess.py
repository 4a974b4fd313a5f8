"""Is it more than may be? Pure."""

from service.uploads.model import Upload
from service.uploads.policy import Profile


def excess(upload: Upload, arrived: int, profile: Profile) -> str | None:
    """The reason to reject so many bytes, None where they are not too many."""
    if upload.declared_size is not None:
        if arrived > upload.declared_size:
            return f"{upload.declared_size} bytes were announced, {arrived} arrived"
        return None
    if arrived > profile.ceiling:
        return f"more than the {profile.ceiling} bytes allowed"
    return None
