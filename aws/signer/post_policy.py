"""The POST policy: a form that may be sent, and the only way to sign a *range* of sizes.

Source: "Creating a POST Policy" and "Calculating a Signature" (browser-based uploads), S3 API
Reference.
"""

import base64
import json
from collections.abc import Mapping
from datetime import datetime

from aws.signer.sigv4 import ALGORITHM, SigningDay


def signed_fields(
    day: SigningDay,
    stamp: str,
    *,
    bucket: str,
    fields: Mapping[str, str],
    smallest: int,
    largest: int,
    expires_at: datetime,
) -> Mapping[str, str]:
    """The form's fields, in the order to send them: `fields`, each of which must then hold
    exactly this value, and those of the signature. Sizes in bytes, both ends allowed.
    """
    exact = {
        **fields,
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": day.credential,
        "x-amz-date": stamp,
    }
    if day.token is not None:
        exact["x-amz-security-token"] = day.token
    conditions: list[object] = [{"bucket": bucket}, ["content-length-range", smallest, largest]]
    conditions += [{name: value} for name, value in exact.items()]
    document = {"expiration": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}", "conditions": conditions}
    policy = base64.b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()
    return {**exact, "policy": policy, "x-amz-signature": day.signature(policy)}
