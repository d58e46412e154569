"""`policies.signatures`."""

from typing import Annotated, Any

from typing_extensions import TypedDict

from configuration.converters import COMMENT, PATH, Value, choice
from configuration.element import Items, Reading, Refused
from configuration.policies.globs import REPOSITORIES
from configuration.policies.trusted_keys import MAX_CHARACTERS, InvalidKeysError, normalized, parse_keys
from configuration.section import Key
from configuration.text_file import read_text

_KEYS = "the path of a file with public keys or certificates, or their PEM, or a list of both"


def _pem(given: Any, reading: Reading) -> str:
    """Return the blocks of a file, or of PEM. Raises Refused."""
    if not isinstance(given, str):
        raise Refused(_KEYS, kind="text")
    is_pem = "-----BEGIN " in given
    text = given if is_pem else read_text(PATH.convert(given, reading), MAX_CHARACTERS)
    try:
        parse_keys(text)
    except InvalidKeysError as error:
        raise Refused(_KEYS, f"{'PEM' if is_pem else 'a file'} without usable keys ({error})") from error
    return normalized(text)


def _keys(given: Any, reading: Reading) -> str:
    """Return the keys in one text: files are read again at each import."""
    if isinstance(given, Items) and not given:
        raise Refused(_KEYS, "an empty list")
    joined = "\n".join(_pem(one, reading) for one in (given if isinstance(given, Items) else [given]))
    try:
        parse_keys(joined)
    except InvalidKeysError as error:
        raise Refused(_KEYS, f"too many keys ({error})") from error
    return joined


_STRING = {"type": "string"}
KEYS = Value(_keys, {"anyOf": [_STRING, {"type": "array", "items": _STRING, "minItems": 1}]})


class Signatures(TypedDict, total=False):
    """Repositories whose images are pulled with a signature by a trusted key only."""

    repositories: Annotated[str, REPOSITORIES, Key("Repositories by glob.", required="a repository or a pattern")]
    except_repositories: Annotated[str, REPOSITORIES, Key("Repositories that it does not hold for.")]
    keys: Annotated[str, KEYS, Key("Files with the public keys or certificates of signers, or PEM.", required=_KEYS)]
    mode: Annotated[str, choice("enforce", "warn"), Key("Whether unsigned images are refused.")]
    comment: Annotated[str, COMMENT, Key("For you.")]
