"""Certificates of AWS's endpoints are verified, chain and name, with a proxy and without."""

import ssl
from typing import Any

import pytest

from aws.clients import AwsAccess, VerifyingSession, client_config


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:3128", "https://127.0.0.1:3128"])
async def test_chain_and_name_are_verified(proxy: str | None) -> None:
    session: Any = VerifyingSession()
    connector = session._create_connector(proxy)
    try:
        assert isinstance(connector._ssl, ssl.SSLContext)
        assert connector._ssl.verify_mode is ssl.CERT_REQUIRED
        assert connector._ssl.check_hostname
        assert connector._ssl.get_ca_certs()
    finally:
        await connector.close()


def test_every_client_uses_it() -> None:
    config: Any = client_config(AwsAccess(region="us-east-1"))
    assert config.http_session_cls is VerifyingSession
