"""The text of an access token: mw_<id>_<secret and checksum>.

    mw_           by which scanners of sources and logs find it
    id            8 capital consonants, public: lists and logs name the token by it
    secret        256 random bits, 43 characters of 0-9 A-Z a-z
    checksum      CRC-32 of all before it, 6 such characters, as GitHub's tokens have one

The checksum tells a typo, and a string that only looks like a token, without a look-up in the
database. It protects nothing: who knows the form can compute it. No id is the name of a person, as
names have no capitals.
"""

import hashlib
import re
import secrets
import zlib

ID_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
ID_CHARACTERS = 8
SECRET_BYTES = 32
SECRET_CHARACTERS = 43
CHECKSUM_CHARACTERS = 6
PATTERN = (
    rf"mw_([{ID_LETTERS}]{{{ID_CHARACTERS}}})_"
    rf"([0-9A-Za-z]{{{SECRET_CHARACTERS}}})([0-9A-Za-z]{{{CHECKSUM_CHARACTERS}}})"
)
_FORM = re.compile(PATTERN, re.ASCII)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class TokenText:
    """A token with its secret. Its repr has none."""

    def __init__(self, id: str, secret: str) -> None:
        self.id = id
        self._secret = secret

    @property
    def text(self) -> str:
        begin = f"mw_{self.id}_{self._secret}"
        return begin + _base62(zlib.crc32(begin.encode()), CHECKSUM_CHARACTERS)

    @property
    def digest(self) -> str:
        """What the database has of the secret: its SHA-256 in hex. It is no slow hash such as
        argon2: those make each guess dear where secrets are few, as passwords are; of 2^256 nobody
        can guess, and a slow hash would be an attacker's way to keep the service busy."""
        return hashlib.sha256(self._secret.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"TokenText({self.id!r})"


def draw() -> TokenText:
    """Returns a new token."""
    id = "".join(secrets.choice(ID_LETTERS) for _ in range(ID_CHARACTERS))
    secret = int.from_bytes(secrets.token_bytes(SECRET_BYTES))
    return TokenText(id, _base62(secret, SECRET_CHARACTERS))


def parse(text: str) -> TokenText:
    """Returns the token of this text. Raises ValueError, whose message has nothing of the text."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("it has not the form mw_<id>_<secret>")
    given = TokenText(found[1], found[2])
    if given.text != text:
        raise ValueError("its checksum is wrong: it has a typo")
    return given


def is_id(text: str) -> bool:
    return len(text) == ID_CHARACTERS and set(text) <= set(ID_LETTERS)


def _base62(number: int, characters: int) -> str:
    found = []
    for _ in range(characters):
        number, digit = divmod(number, len(_DIGITS))
        found.append(_DIGITS[digit])
    return "".join(reversed(found))
