"""Who may do what at the store, in its IAM configuration.

Isolation is the store's own: a policy variable puts the token's subject into the resource, as
`${cognito-identity.amazonaws.com:sub}` does on AWS. No code of ours compares a key to a user.
"""

from typing import Any

from localcloud.config import Role

ISSUER = "https://cognito-identity.amazonaws.com"
ACCOUNT = "000000000000"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/authenticated"
_PROVIDER = "cognito"
_POLICY = "authenticated"
_VERSION = "2012-10-17"
_OWN_FOLDER = "${jwt:sub}/*"


def iam_config(
    *,
    bucket: str,
    role: Role,
    pool_id: str,
    jwks_url: str,
    session_seconds: int,
    signing_key: str,
) -> dict[str, Any]:
    """Build the store's `iam.json`; `signing_key` is base64 of 32 bytes."""
    life = f"{session_seconds}s"
    return {
        "sts": {
            "tokenDuration": life,
            # Without it the holder of an OpenID token could ask the STS itself for twelve hours.
            "maxSessionLength": life,
            "issuer": "localcloud-sts",
            "accountId": ACCOUNT,
            "signingKey": signing_key,
        },
        # In memory: what is written here is all there is, whatever an earlier run had.
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roleStore": {"storeType": "memory"},
        "providers": [_provider(pool_id, jwks_url)],
        "policies": [{"name": _POLICY, "document": folder_policy(bucket, role)}],
        "roles": [
            {
                "roleName": ROLE_ARN.rpartition("/")[2],
                "roleArn": ROLE_ARN,
                "trustPolicy": trust_policy(pool_id),
                "attachedPolicies": [_POLICY],
            }
        ],
    }


def folder_policy(bucket: str, role: Role) -> dict[str, Any]:
    """The authenticated role's policy: each identity its own folder, nothing else.

    PutObject covers the create, the parts and the completion of a multipart.
    """
    objects = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    if role == "write-only":
        return {"Version": _VERSION, "Statement": [_allow_objects(bucket, objects)]}
    listing = {
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}"],
        "Condition": {"StringLike": {"s3:prefix": [_OWN_FOLDER]}},
    }
    allowed = _allow_objects(bucket, [*objects, "s3:GetObject"])
    return {"Version": _VERSION, "Statement": [allowed, listing]}


def bucket_policy(bucket: str) -> dict[str, Any]:
    """Nobody tags an object in writing it: a scanner's verdict may be a tag. On AWS that needs
    s3:PutObjectTagging; SeaweedFS 4.48 takes it with s3:PutObject, and asks this policy alone
    about headers.
    """
    tagging = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Null": {"s3:x-amz-tagging": "false"}},
    }
    return {"Version": _VERSION, "Statement": [tagging]}


def trust_policy(pool_id: str) -> dict[str, Any]:
    """Only tokens of this pool, of signed-in identities, may take the role."""
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": _PROVIDER},
                "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": {
                    "StringEquals": {"oidc:aud": pool_id},
                    "ForAnyValue:StringLike": {"oidc:amr": "authenticated"},
                },
            }
        ],
    }


def _provider(pool_id: str, jwks_url: str) -> dict[str, Any]:
    config = {"issuer": ISSUER, "clientId": pool_id, "jwksUri": jwks_url}
    return {"name": _PROVIDER, "type": "oidc", "enabled": True, "config": config}


def _allow_objects(bucket: str, actions: list[str]) -> dict[str, Any]:
    resource = f"arn:aws:s3:::{bucket}/{_OWN_FOLDER}"
    return {"Effect": "Allow", "Action": actions, "Resource": [resource]}
