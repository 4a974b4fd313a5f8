import pytest

from client.proxies import proxy_for


def test_only_aws_is_reached_through_the_environments_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    aws = "https://uploads.s3.eu-west-1.amazonaws.com/x"
    assert proxy_for(aws) == "http://proxy.test:3128"
    assert proxy_for("http://127.0.0.1:8333/x") is None
    assert proxy_for("https://store.example.org/x") is None
    monkeypatch.setenv("NO_PROXY", ".amazonaws.com")
    assert proxy_for(aws) is None
