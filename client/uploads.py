"""One file, from this machine straight into the store, with boto3's transfer manager."""

import mimetypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3.exceptions
import botocore.exceptions
import s3transfer.exceptions
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from client import boto
from client.api import Api
from client.grants import CredentialSource, Issued
from client.parts import LARGEST_OBJECT, part_size
from client.problems import (
    ClientError,
    CredentialsError,
    FileError,
    TransferCancelledError,
    TransferError,
)
from client.wire import ARRIVED, Place, Upload

Progress = Callable[[int], None]
"""Called with the bytes sent since the last call; negative when a part starts again."""

_TROUBLE = (
    OSError,
    boto3.exceptions.Boto3Error,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    s3transfer.exceptions.TransferNotDoneError,
)


class _Tell(BaseSubscriber):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_progress(self, future: Any, bytes_transferred: int, **_: object) -> None:  # noqa: ARG002
        self._progress(bytes_transferred)


class Uploader:
    """Sends files, several threads at once if need be. After `cancel` it sends nothing more."""

    def __init__(self, api: Api, s3: Any, place: Place, *, parallel_parts: int = 8) -> None:
        self._api = api
        self._s3 = s3
        self._place = place
        self._parallel = parallel_parts
        self._lock = threading.Lock()
        self._running: set[Any] = set()
        self.cancelled = threading.Event()

    @classmethod
    def opened(
        cls,
        api: Api,
        source: CredentialSource,
        *,
        first: Issued | None = None,
        parallel_parts: int = 8,
        parallel_files: int = 1,
    ) -> "Uploader":
        """An uploader on credentials that renew themselves; `first` if some are at hand."""
        first = first or source.issue()
        session = boto.boto3_session(boto.refreshable(first, source.issue), first.place.region)
        connections = parallel_parts * parallel_files
        s3 = boto.s3_client(session, first.place, connections=connections)
        return cls(api, s3, first.place, parallel_parts=parallel_parts)

    def send(self, path: Path, progress: Progress | None = None) -> Upload:
        """The record, once the store has every byte (not yet verified by the service).

        A failure or a cancellation aborts the multipart upload and deletes the record.
        """
        size = _size(path)
        if self.cancelled.is_set():
            raise TransferCancelledError
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        record = self._api.create_upload(path.name, size, content_type)
        try:
            self._check(record)
            self._transfer(path, size, record, progress)
        except TransferError as error:
            return self._after(error, record)
        except (Exception, KeyboardInterrupt) as error:
            self._discard(record, error)
            raise
        return record

    def cancel(self) -> None:
        """Ends what is under way; every `send` then raises TransferCancelledError."""
        self.cancelled.set()
        with self._lock:
            running = list(self._running)
        for future in running:
            future.cancel()

    def _check(self, record: Upload) -> None:
        """The keys open one folder only; a record elsewhere would fail part by part."""
        place = self._place
        if record.bucket != place.bucket or not record.key.startswith(place.key_prefix):
            raise CredentialsError("the credentials do not reach the record's key")

    def _transfer(self, path: Path, size: int, record: Upload, progress: Progress | None) -> None:
        with TransferManager(self._s3, self._config(size)) as manager:
            future = manager.upload(
                str(path),
                record.bucket,
                record.key,
                extra_args={"ContentType": record.content_type or "application/octet-stream"},
                subscribers=[_Tell(progress)] if progress is not None else [],
            )
            self._track(future)
            try:
                future.result()
            except s3transfer.exceptions.CancelledError:
                raise TransferCancelledError from None
            except _TROUBLE as error:
                raise TransferError(_reason(error)) from None
            finally:
                self._untrack(future)

    def _config(self, size: int) -> TransferConfig:
        chunk = part_size(size)
        return TransferConfig(
            multipart_threshold=chunk + 1,
            multipart_chunksize=chunk,
            max_request_concurrency=self._parallel,
            max_submission_concurrency=1,
        )

    def _track(self, future: Any) -> None:
        with self._lock:
            self._running.add(future)
        if self.cancelled.is_set():  # asked for between the record and here
            future.cancel()

    def _untrack(self, future: Any) -> None:
        with self._lock:
            self._running.discard(future)

    def _after(self, error: TransferError, record: Upload) -> Upload:
        """The last answer may have been lost: what the service has seen arrive has arrived."""
        try:
            seen = self._api.upload(record.id)
        except ClientError:
            seen = record
        if seen.status in ARRIVED:
            return seen
        self._discard(record, error)
        raise error

    def _discard(self, record: Upload, error: BaseException) -> None:
        """Deletes the record; the service then also aborts what the manager could not."""
        try:
            self._api.delete_upload(record.id)
        except ClientError as second:
            error.add_note(f"its record {record.id} could not be deleted: {second}")


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    if not path.is_file():
        raise FileError(f"{path} is not a file")
    if status.st_size > LARGEST_OBJECT:
        raise FileError(f"{path} is larger than the 48.8 TiB that S3 stores")
    return status.st_size


def _reason(error: BaseException) -> str:
    """The store's own code, never its text: it can hold keys and signed addresses."""
    if isinstance(error, botocore.exceptions.ClientError):
        return f"{error.operation_name}: {error.response.get('Error', {}).get('Code', 'unknown')}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
