"""Which way the bytes of an upload go, and under which prefix its key lies."""

from dataclasses import dataclass
from typing import Literal

from errors import TransportUnavailableError
from service.grants.fallback import OBSTACLES, reason_of
from service.uploads.model import Transport, Upload
from service.uploads.policy import Policy, Profile
from service.uploads.ports import Folders

TransportChoice = Literal["auto", "credentials", "presigned", "relay"]
# What `auto` takes where credentials cannot be had, the better one first.
_INSTEAD = (Transport.PRESIGNED, Transport.RELAY)


@dataclass(frozen=True, slots=True)
class Chosen:
    """`reason` says why it is this one; `prefix` ends in `/`."""

    transport: Transport
    reason: str
    prefix: str


class Transports:
    def __init__(self, *, folders: Folders, policy: Policy) -> None:
        self._folders = folders
        self._policy = policy

    async def choose(self, user_id: str, asked: TransportChoice, profile: Profile) -> Chosen:
        """`auto`: credentials where a grant can be had and the policy allows, else presigned.
        Raises PolicyError, and for `credentials` what Cognito's grant may raise.
        """
        if asked == "auto":
            return await self._best(user_id, profile)
        transport = Transport(asked)
        self._policy.check_transport(profile, transport)
        if transport is Transport.CREDENTIALS:
            return Chosen(transport, "requested", await self._folders.folder_of(user_id))
        return Chosen(transport, "requested", await self._folders.known_folder_of(user_id))

    async def _best(self, user_id: str, profile: Profile) -> Chosen:
        try:
            self._policy.check_transport(profile, Transport.CREDENTIALS)
            await self._folders.check()
            prefix = await self._folders.folder_of(user_id)
        except OBSTACLES as error:
            instead = [transport for transport in _INSTEAD if transport in profile.transports]
            if not instead:
                raise
            prefix = await self._folders.known_folder_of(user_id)
            return Chosen(instead[0], reason_of(error), prefix)
        return Chosen(Transport.CREDENTIALS, "auto", prefix)

    async def check_switch(self, upload: Upload, to: Transport) -> None:
        """Raises PolicyError where the profile does not allow it, and for credentials
        TransportUnavailableError where they could not write to the record's key.
        """
        self._policy.check_transport(self._policy.of_record(upload.profile), to)
        if to is not Transport.CREDENTIALS:
            return
        folder = await self._folders.folder_of(upload.user_id)
        if not upload.key.startswith(folder):
            raise TransportUnavailableError("The upload's key lies outside of the grant's folder")
