"""Signs webhooks as Standard Webhooks 1.0.0 say
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

    webhook-id         the same at each try, so that a receiver can drop doubles
    webhook-timestamp  Unix seconds of the try: a receiver refuses what is minutes old
    webhook-signature  "v1," and the base64 of HMAC-SHA256(secret, ID.TIMESTAMP.BODY); with two
                       secrets two of them, and a space between

A secret is written "whsec_" and the base64 of 24 to 64 bytes. A file may have two, one a line:
while receivers change from one to the other, both sign.
"""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES, MAX_SECRETS = 24, 64, 2


def read_secrets(path: Path, what: str) -> list[bytes]:
    """Returns the secrets in a file that the setting `what` names. Raises OperatorError."""
    lines = [line.strip() for line in disk.read_secret_text(path, what).splitlines()]
    if not 1 <= len(lines) <= MAX_SECRETS:
        raise OperatorError(f"{what}: {path} has to have one secret, or two, one a line")
    return [_secret(line, path, what) for line in lines]


def _secret(line: str, path: Path, what: str) -> bytes:
    wrong = OperatorError(
        f"{what}: {path} has to hold {PREFIX} and the base64 of {MIN_BYTES} to {MAX_BYTES} bytes: "
        f'`(umask 077; echo "{PREFIX}$(openssl rand -base64 32)" > FILE)` makes one'
    )
    if not line.startswith(PREFIX):
        raise wrong
    try:
        found = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise wrong from None  # the message of the cause may have the secret
    if not MIN_BYTES <= len(found) <= MAX_BYTES:
        raise wrong
    return found


def headers(secrets: list[bytes], id: str, now: float, body: bytes) -> dict[str, str]:
    """Returns the headers of a try at `now`, Unix seconds."""
    timestamp = str(int(now))
    signed = b".".join((id.encode(), timestamp.encode(), body))
    found = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join("v1," + base64.b64encode(one).decode() for one in found),
    }
