"""Names of downloads: the object's, and the name under which a browser saves it. Pure."""

import re
import unicodedata
from urllib.parse import quote

#: Characters of a file name without its suffix. File systems allow 255 bytes.
_LONGEST = 80
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+')
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._()-]+")
_NAMELESS = "video"
#: RFC 8187 attr-char besides letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


def object_name(name: str, suffix: str) -> str:
    """Returns the name of a download's object below `v{n}/`. The edge knows its form."""
    return f"download-{name}.{suffix}"


def disposition(title: str, suffix: str) -> str:
    """Returns the Content-Disposition with a name from the title (RFC 6266): ASCII, then UTF-8 if it differs.

    The title may be any text: control characters, quotes, separators of paths and marks that turn the
    direction of text are replaced.
    """
    wide = _tidied(_UNSAFE.sub(" ", unicodedata.normalize("NFC", title)))
    decomposed = unicodedata.normalize("NFKD", wide).encode("ascii", "ignore").decode()
    plain = _tidied(_NOT_PLAIN.sub(" ", decomposed))
    header = f'attachment; filename="{plain}.{suffix}"'
    if wide == plain:
        return header
    encoded = quote(f"{wide}.{suffix}".encode("utf-8", "replace"), safe=_ATTR_CHARS)
    return f"{header}; filename*=UTF-8''{encoded}"


def _tidied(text: str) -> str:
    """Returns a name without runs of blanks. No name is empty, or begins or ends with a dot."""
    return " ".join(text.split())[:_LONGEST].strip(" .") or _NAMELESS
