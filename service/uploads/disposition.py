"""What a download says of itself, so that a browser saves it and never runs it.

Sources: RFC 6266 (Content-Disposition), RFC 8187, once 5987 (`filename*`), and the WHATWG's MIME
Sniffing standard (which types are markup, XML or JavaScript).
"""

import re
from typing import Final
from urllib.parse import quote

from service.uploads.filenames import unshowable
from service.uploads.keys import safe_name

OPAQUE: Final = "application/octet-stream"
_ATTR_CHAR: Final = "!#$&+^`|"  # RFC 8187, besides letters, digits and `-._~`
_TYPE = re.compile(
    r"(?P<kind>[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+)"
    r"(?:[ \t]*;[ \t]*(?P<charset>charset=[a-z0-9_-]+))?",
    re.ASCII | re.IGNORECASE,
)
# Whatever a browser may take for a page or a script, in every family (`text/`, `application/`),
# and the families that may hold a page (MHTML).
_ACTIVE = re.compile(
    r"(?:multipart|message)/.*"
    r"|[^/]*/(?:.*html.*|.*\+xml|xml|xslt?|xml-dtd|xml-external-parsed-entity|svg|rdf"
    r"|(?:x-)?(?:java|ecma|j|live)script(?:1\.[0-9])?|cache-manifest)",
    re.ASCII | re.IGNORECASE,
)


def attachment(filename: str) -> str:
    """A Content-Disposition with the original name, whatever it holds: in ASCII for old clients,
    in UTF-8 for all others. Controls, direction overrides and path separators are left out.
    """
    name = "".join(char for char in filename if not unshowable(char) and char not in "/\\")
    exact = quote(name or "file", safe=_ATTR_CHAR)
    return f"attachment; filename=\"{safe_name(filename)}\"; filename*=UTF-8''{exact}"


def download_type(content_type: str) -> str:
    """The type to serve a download as. What a browser could run (HTML, SVG, XML, JavaScript), and
    what is no type, is bytes; of the parameters only a charset is kept (a comma in another one
    starts a second type for some browsers).
    """
    kind = content_type.partition(";")[0].strip()
    found = _TYPE.fullmatch(content_type.strip()) or _TYPE.fullmatch(kind)
    if found is None or _ACTIVE.fullmatch(found["kind"]):
        return OPAQUE
    charset = found["charset"]
    return f"{found['kind']}; {charset}" if charset else found["kind"]
