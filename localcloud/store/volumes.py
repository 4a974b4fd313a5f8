"""Room for the first upload, made before it comes."""

import logging
import ssl
from pathlib import Path

import httpx

from localcloud.certificates import CA, CERTIFICATE, KEY
from localcloud.ports import LOOPBACK

_log = logging.getLogger(__name__)


def grow_volumes(tls: Path, master_port: int, bucket: str) -> None:
    """Ask the master for the bucket's volumes, with the store's own certificate. Blocking.

    Without it the first upload of a new bucket waits a second for them. Only that is lost when
    it fails, so failing is logged and no more.
    """
    context = ssl.create_default_context(cafile=tls / CA)
    context.load_cert_chain(tls / CERTIFICATE, tls / KEY)
    url = f"https://{LOOPBACK}:{master_port}/vol/grow"
    try:
        with httpx.Client(verify=context, trust_env=False, timeout=20.0) as client:
            client.get(url, params={"collection": bucket, "count": "4"}).raise_for_status()
    except httpx.HTTPError as error:
        _log.warning("the store's volumes were not made ahead: %s", error)
