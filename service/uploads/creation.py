"""Announcing an upload: policy, quota, a key and a plan; the record first, then the multipart."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from errors import InternalError, UploadgateError, UploadNotFoundError
from service.clock import Clock
from service.uploads.idempotency import Claim, Finished, IdempotencyKeys, digest
from service.uploads.keys import object_key
from service.uploads.model import Checksum, Origin, Upload, UploadStatus
from service.uploads.multiparts import MultipartKeeper
from service.uploads.plan import Plan, plan
from service.uploads.policy import Policy, Profile
from service.uploads.ports import UploadRecords
from service.uploads.transitions import IN_FLIGHT
from service.uploads.transports import Chosen, TransportChoice, Transports


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What a client announces. `size` in bytes, None where the client's protocol never says it:
    such an upload reserves the profile's maximum. With `own_parts` the client plans the parts.
    `ends_by`: the upload expires then at the latest.
    """

    filename: str
    size: int | None
    content_type: str
    profile: str | None = None
    checksum: Checksum | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    transport: TransportChoice = "auto"
    own_parts: bool = False
    ends_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """`overdue` is how long the store's word is waited for before the sweep looks itself, `lease`
    how long a creation or completion under an Idempotency-Key may take before another takes over.
    """

    expires: timedelta
    overdue: timedelta
    lease: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class PartSizes:
    """In bytes: what goes in one PUT, and how large parts are wished for."""

    threshold: int
    preferred: int

    def plan(self, size: int) -> Plan | None:
        return plan(size, part_size=self.preferred, threshold=self.threshold)


class Creation:
    def __init__(
        self,
        *,
        records: UploadRecords,
        keys: IdempotencyKeys,
        keeper: MultipartKeeper,
        transports: Transports,
        policy: Policy,
        bucket: str,
        timing: Timing,
        part_sizes: PartSizes,
        clock: Clock,
    ) -> None:
        self._records = records
        self._keys = keys
        self._keeper = keeper
        self._transports = transports
        self._policy = policy
        self._bucket = bucket
        self._timing = timing
        self._part_sizes = part_sizes
        self._clock = clock

    async def create(
        self, user_id: str, new: NewUpload, *, idempotency_key: str | None = None
    ) -> Upload:
        """The record, with its multipart where the plan has parts. Raises what policy, quota,
        Cognito and the store may raise; nothing is reserved then.
        """
        if idempotency_key is None:
            return await self._prepared(await self._added(user_id, new, None), new, keep=False)
        claim = Claim(user_id, idempotency_key, uuid.uuid4().hex)
        earlier = await self._begun(claim, new)
        if earlier is not None:
            return await self._again(user_id, earlier, new)
        try:
            upload = await self._added(user_id, new, claim)
        except BaseException:  # a caller who left, too: the key is free again
            await self._keys.release(claim)
            raise
        # From here on a repetition under the same key finds this record and goes on with it.
        return await self._prepared(upload, new, keep=True)

    async def _begun(self, claim: Claim, new: NewUpload) -> Finished | None:
        now = self._clock()
        asked = digest("create", json.dumps(asdict(new), sort_keys=True, default=str))
        return await self._keys.begin(claim, asked, now, lease_until=now + self._timing.lease)

    async def _again(self, user_id: str, earlier: Finished, new: NewUpload) -> Upload:
        upload = await self._records.get(earlier.upload_id)
        if upload is None or upload.user_id != user_id:
            raise UploadNotFoundError
        return await self._prepared(upload, new, keep=True) if _unfinished(upload) else upload

    async def _added(self, user_id: str, new: NewUpload, claim: Claim | None) -> Upload:
        profile = self._policy.profile(new.profile)
        self._policy.check(profile, filename=new.filename, content_type=new.content_type)
        if new.size is not None:
            self._policy.check_size(profile, new.size)
        chosen = await self._transports.choose(user_id, new.transport, profile)
        upload = self._record(user_id, new, profile, chosen)
        if not await self._records.add(upload, limits=profile.limits, claim=claim):
            raise InternalError("The upload's key is taken")  # by two equal random ids
        return upload

    def _record(self, user_id: str, new: NewUpload, profile: Profile, chosen: Chosen) -> Upload:
        now = self._clock()
        upload_id = f"upl_{uuid.uuid4().hex}"
        expires_at = now + self._timing.expires
        planned = None if new.size is None or new.own_parts else self._part_sizes.plan(new.size)
        in_parts = planned is not None or new.own_parts
        return Upload(
            id=upload_id,
            user_id=user_id,
            status=UploadStatus.PENDING,
            origin=Origin.API,
            transport=chosen.transport,
            transport_reason=chosen.reason,
            profile=profile.name,
            filename=new.filename,
            content_type=new.content_type,
            declared_size=new.size,
            declared_checksum=new.checksum,
            bucket=self._bucket,
            key=object_key(profile.key_template, chosen.prefix, upload_id, new.filename, now),
            metadata=dict(new.metadata),
            fingerprint=new.fingerprint,
            created_at=now,
            updated_at=now,
            expires_at=expires_at if new.ends_by is None else min(expires_at, new.ends_by),
            next_look_at=now + self._timing.overdue,
            charged=profile.reservation(new.size),
            part_size=planned.part_size if planned else None,
            part_count=planned.part_count if planned else None,
            part_checksum=new.checksum.algorithm if new.checksum and in_parts else None,
        )

    async def _prepared(self, upload: Upload, new: NewUpload, *, keep: bool) -> Upload:
        """With its multipart. A record that nobody will ask for again is not left behind when
        the store cannot make one; under an Idempotency-Key the next try goes on with it.
        """
        if upload.part_count is None and not new.own_parts:
            return upload
        try:
            return await self._keeper.ensured(upload)
        except UploadgateError:
            if not keep:
                await self._records.transition(
                    upload,
                    UploadStatus.ABORTED,
                    self._clock(),
                    status_reason="the store could not begin it",
                )
            raise


def _unfinished(upload: Upload) -> bool:
    return upload.status in IN_FLIGHT and upload.multipart_id is None
