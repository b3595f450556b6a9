"""The media type of an upload."""

import re

DEFAULT = "application/octet-stream"
_MOST = 255

_TYPE = re.compile(r"(?:video|audio)/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}", re.IGNORECASE)
# RFC 9110 §5.6.6, without escapes inside quotes. A comma counts as part of a token, because the recorders of
# browsers write a list of codecs without quotes.
_PARAMETER = re.compile(
    r"""([!#$%&'*+.^_`|~0-9a-z-]+)=([!#$%&'*+,.^_`|~0-9a-z-]+|"[ !#-\[\]-~]*")""", re.IGNORECASE
)


def normalized(text: str) -> str | None:
    """Returns the canonical form of `text`, which the upload is signed for; None for other media types.

    The type and parameter names become lower case; values keep their case. White space around separators is
    removed, and several spaces within quotes become one, because the signature cannot distinguish them.
    """
    if text.strip(" \t").lower() in ("", DEFAULT):
        return DEFAULT
    kind, *parameters = _split(text)
    if len(text) > _MOST or not _TYPE.fullmatch(kind):
        return None
    found = [_PARAMETER.fullmatch(parameter) for parameter in parameters if parameter]
    spelled = [f";{match[1].lower()}={re.sub(' +', ' ', match[2])}" for match in found if match]
    return kind.lower() + "".join(spelled) if len(spelled) == len(found) else None


def _split(text: str) -> list[str]:
    """Split at semicolons outside quotes."""
    return [part.strip(" \t") for part in re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', text[: _MOST + 1])]
