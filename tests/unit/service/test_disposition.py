import re
import string
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.uploads.disposition import OPAQUE, attachment, download_type
from service.uploads.filenames import unshowable

# Any text at all, lone surrogates included: adopted objects are named by others.
names = st.text(st.characters(exclude_categories=[]), max_size=300)
shown_names = names.filter(
    lambda name: name != "" and not any(unshowable(char) or char in "/\\" for char in name)
)
FORM = re.compile(
    r'attachment; filename="(?P<plain>[A-Za-z0-9._-]+)"; '
    r"filename\*=UTF-8''(?P<exact>(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+)"
)
TOKENS = string.ascii_letters + string.digits + "!#$&^_.+-"


@given(names)
@example('a"; filename="evil.exe')
@example("a\r\nSet-Cookie: a=b")
@example("\u202egnp.exe")
@example("\ud800")
@example("/\\")
@example("")
def test_no_name_can_add_to_the_header(name: str) -> None:
    assert FORM.fullmatch(attachment(name))


@given(shown_names)
@example("Ünï côde 漢字 😀 100% 'a'*(b).PDF")
@example("+ and %2B and ~")
def test_the_original_name_comes_back(name: str) -> None:
    found = FORM.fullmatch(attachment(name))
    assert found is not None
    assert unquote(found["exact"], errors="strict") == name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("plain.txt", "attachment; filename=\"plain.txt\"; filename*=UTF-8''plain.txt"),
        (
            "€ Tarife.pdf",
            "attachment; filename=\"Tarife.pdf\"; filename*=UTF-8''%E2%82%AC%20Tarife.pdf",
        ),
        ("漢字", "attachment; filename=\"file\"; filename*=UTF-8''%E6%BC%A2%E5%AD%97"),
        ("..", "attachment; filename=\"file\"; filename*=UTF-8''.."),
    ],
)
def test_the_header_reads_as_the_rfc_shows_it(name: str, header: str) -> None:
    assert attachment(name) == header


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        " text/html ",
        "application/xhtml+xml",
        "image/svg+xml",
        "application/xml",
        "text/xml",
        "text/xsl",
        "application/rss+xml",
        "application/atom+xml;charset=utf-8",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "text/javascript1.5",
        "text/jscript",
        "application/vnd.ms-htmlhelp+html",
        "multipart/x-mixed-replace",
        "multipart/x-mixed-replace;boundary=a",
        "multipart/related",
        "message/rfc822",
        "text/html;version=1,text/plain",
        "text/plain,text/html",
        "",
        "text",
        "text/",
        "*/*",
        "text/pl ain",
        "text/plain\r\nX: y",
    ],
)
def test_what_a_browser_could_run_is_served_as_bytes(content_type: str) -> None:
    assert download_type(content_type) == OPAQUE


@pytest.mark.parametrize(
    ("content_type", "served"),
    [
        ("video/mp4", "video/mp4"),
        ("application/pdf", "application/pdf"),
        ("image/png", "image/png"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("text/plain ;charset=UTF-8", "text/plain; charset=UTF-8"),
        ('text/plain; charset="utf-8, text/html"', "text/plain"),
        ("text/plain; a=b, text/html", "text/plain"),
        ("application/json", "application/json"),
        ("application/zip", "application/zip"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",) * 2,
    ],
)
def test_other_types_stay_what_they_are(content_type: str, served: str) -> None:
    assert download_type(content_type) == served


@given(names | st.builds("{}/{}".format, st.text(TOKENS, min_size=1), names))
def test_what_is_served_is_always_one_plain_type(content_type: str) -> None:
    served = download_type(content_type)
    kind, _, charset = served.partition("; charset=")
    assert re.fullmatch(rf"[{re.escape(TOKENS)}]+/[{re.escape(TOKENS)}]+", kind)
    assert set(charset) <= set(string.ascii_letters + string.digits + "_-")


@given(st.text(TOKENS, max_size=20), st.sampled_from(["xml", "XML", "Xml"]))
def test_every_type_made_of_xml_is_bytes(begin: str, xml: str) -> None:
    assert download_type(f"application/{begin}+{xml}") == OPAQUE
