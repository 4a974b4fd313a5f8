"""The REST API as a typed client. Its access token is renewed on its own, once a call."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol
from uuid import uuid4

from client.http import HttpClient
from client.problems import ApiError
from client.signed import Signed, StoredPart, whole
from client.wire import Checksum, Exchanged, Grant, Upload

Mode = Literal["auto", "cognito", "presigned"]
_UNAUTHORIZED = 401
_NOT_FOUND = 404


class TokenSource(Protocol):
    """Whoever keeps the login. Safe for use by several threads."""

    def access_token(self) -> str:
        """One that should still be good for a while."""

    def renew(self, refused: str) -> str:
        """Another one than that which the service refused."""


class Api:
    """One caller's view of the service. Every method raises ClientErrors."""

    def __init__(self, http: HttpClient, tokens: TokenSource) -> None:
        self._http = http
        self._tokens = tokens

    def me(self) -> dict[str, Any]:
        return self._call("GET", "/v1/auth/me")

    def grant(self, mode: Mode = "auto") -> Grant:
        return Grant.read(self._call("POST", "/v1/credentials", json={"mode": mode}))

    def exchange(self) -> Exchanged:
        return Exchanged.read(self._call("POST", "/v1/credentials/exchange", json={}))

    def create_upload(
        self,
        filename: str,
        size: int,
        content_type: str,
        *,
        transport: str = "credentials",
        profile: str | None = None,
        checksum: Checksum | None = None,
        fingerprint: str | None = None,
    ) -> Upload:
        """A new record for `size` bytes. Repeated under one Idempotency-Key, made once."""
        body: dict[str, Any] = {
            "filename": filename,
            "size": size,
            "content_type": content_type,
            "transport": transport,
        }
        if profile is not None:
            body["profile"] = profile
        if checksum is not None:
            body["checksum"] = {"algorithm": checksum.algorithm, "value": checksum.value}
        if fingerprint is not None:
            body["fingerprint"] = fingerprint
        return Upload.read(self._call("POST", "/v1/uploads", json=body, headers=_once()))

    def upload(self, upload_id: str) -> Upload:
        return Upload.read(self._call("GET", f"/v1/uploads/{upload_id}"))

    def timeline(self, upload_id: str) -> dict[str, Any]:
        """Why an upload is where it is, as the API says it."""
        return self._call("GET", f"/v1/uploads/{upload_id}/timeline")

    def uploads(
        self, *, status: str | None = None, fingerprint: str | None = None, limit: int = 100
    ) -> Iterator[Upload]:
        """The caller's own, newest first; `limit` is the size of a page."""
        params: dict[str, str | int] = {"limit": limit}
        if status is not None:
            params["status"] = status
        if fingerprint is not None:
            params["fingerprint"] = fingerprint
        while True:
            page = self._call("GET", "/v1/uploads", params=params)
            yield from map(Upload.read, page.get("items", ()))
            cursor = page.get("next_cursor")
            if not cursor:
                return
            params["cursor"] = cursor

    def sign_parts(
        self, upload_id: str, numbers: Sequence[int], checksums: Mapping[int, str] | None = None
    ) -> dict[int, Signed]:
        """An address for each part, by its number; 1,000 at most. On an upload by credentials
        this is the switch of its transport. `checksums` are in base64, where parts carry them.
        """
        body: dict[str, Any] = {"part_numbers": list(numbers)}
        if checksums:
            body["checksums"] = {str(number): value for number, value in checksums.items()}
        answer = self._call("POST", f"/v1/uploads/{upload_id}/parts", json=body)
        return {whole(part, "part_number"): Signed.read(part) for part in answer.get("parts", ())}

    def switch_transport(self, upload_id: str, transport: str) -> Upload:
        """What has arrived stays. Raises ApiError `policy`, `transport_unavailable`."""
        path = f"/v1/uploads/{upload_id}/transport"
        return Upload.read(self._call("POST", path, json={"transport": transport}))

    def stored_parts(self, upload_id: str) -> list[StoredPart]:
        """All that the store has."""
        answer = self._call("GET", f"/v1/uploads/{upload_id}/parts")
        return [StoredPart.read(part) for part in answer.get("items", ())]

    def complete_upload(self, upload_id: str) -> Upload:
        """Raises ApiError `upload_incomplete` (with `missing_parts`), `multipart_gone` or
        `upload_rejected` among others.
        """
        path = f"/v1/uploads/{upload_id}/complete"
        return Upload.read(self._call("POST", path, json={}, headers=_once()))

    def delete_upload(self, upload_id: str) -> None:
        """In flight: aborts it; completed: deletes the object. What is gone already is fine."""
        try:
            self._call("DELETE", f"/v1/uploads/{upload_id}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    def content_url(self, upload_id: str) -> str:
        """Where a relayed file is put, with an access token."""
        return f"{self._http.base_url}/v1/uploads/{upload_id}/content"

    def access_token(self) -> str:
        """For what goes past this client. Raises SessionError."""
        return self._tokens.access_token()

    def renewed_token(self, refused: str) -> str:
        return self._tokens.renew(refused)

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        token = self._tokens.access_token()
        try:
            return self._authorized(token, method, path, **request)
        except ApiError as error:
            if error.status != _UNAUTHORIZED or error.retry_mode != "refresh":
                raise
        return self._authorized(self._tokens.renew(token), method, path, **request)

    def _authorized(self, token: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        headers = {**(request.pop("headers", None) or {}), "Authorization": f"Bearer {token}"}
        return self._http.call(method, path, headers=headers, **request)


def _once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}
