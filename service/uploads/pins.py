"""The version that was verified, of which lifecycle rules may leave a newer one alone."""

from service.uploads.model import Upload
from service.uploads.ports import ObjectStore, StoredObject


async def pin_stands(store: ObjectStore, upload: Upload, newest: StoredObject) -> bool:
    """Whether what was verified is still there where `newest` has its ETag. The store is asked only
    where the same bytes were put again, so never of a bucket without versions.
    """
    if newest.version_id == upload.version_id:
        return True
    if upload.version_id is None:  # from before the bucket had versions: only the newest is given
        return False
    return await store.has_version(upload.bucket, upload.key, upload.version_id)
