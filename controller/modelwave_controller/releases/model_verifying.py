"""A model's own signature in the form of OpenSSF Model Signing, by who made the model.

`release create` verifies it over the very copy that is released, without network, by the package
model-signing (the extra `interop`): with a public key, or with certificates of authorities. It may
be of the file alone, or of a folder with the file in it: then all files of the folder are verified.
A keyless one of Sigstore is refused, as that takes a network.

The manifest binds it (model_signature.py).
"""

import base64
import binascii
import contextlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.releases.model_signature import MAX_BYTES, MAX_SIGNER, ModelSignature
from modelwave_controller.trust.keys import UNREADABLE
from modelwave_shared import digests

MAX_PEM_BYTES = 2**20
_OPTION, _SIGNER = "--model-signature", "--model-signer"
_ITSELF = "."  # the name of the only file in a signature of a file


def take(
    signature: Path | None,
    signer: Path | None,
    source: Path,
    files: Sequence[Mapping[str, Any]],
    folder: Path,
) -> ModelSignature | None:
    """Copies the signature of the options into `folder` and verifies it over the model's copy
    there, which was taken from `source`. Returns None without the options. Raises OperatorError,
    and TrustError for a signature that is not the signer's, or of another model."""
    if signature is None and signer is None:
        return None
    if signature is None:
        raise OperatorError(f"{_SIGNER}: give the signature, too: {_OPTION} FILE")
    if signer is None:
        raise OperatorError(
            f"{_OPTION}: give who has to have signed it, too: {_SIGNER} FILE, a public key or "
            "certificates of authorities, in PEM"
        )
    sha256, size = disk.copy_hashed(signature, folder, _OPTION, MAX_BYTES)
    model = next(file["sha256"] for file in files if file["role"] == "model")
    bundle = _Bundle((folder / sha256).read_bytes(), signature)
    pem = disk.read_input(signer, _SIGNER, MAX_PEM_BYTES)
    found = bundle.signer_of(pem, signer)
    signed = bundle.place_of(model, folder / model, source)
    with tempfile.TemporaryDirectory(prefix="modelwave-signer-") as place:
        copy = Path(place, "signer.pem")
        copy.write_bytes(pem)
        _verify(folder / sha256, copy, signed, signature, bundle.has_certificates)
    return ModelSignature(sha256, size, found)


class _Bundle:
    """What a signature's file says, before anything of it is verified."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.path = path
        try:
            said = json.loads(data)
            self.material = said["verificationMaterial"]
            payload = json.loads(base64.b64decode(said["dsseEnvelope"]["payload"]))
            resources = payload["predicate"]["resources"]
            self.digests = {
                str(one["name"]): one["digest"] for one in resources if one["algorithm"] == "sha256"
            }
            self.has_others = len(self.digests) < len(resources)
            self.has_certificates = "x509CertificateChain" in self.material
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
            raise OperatorError(
                f"{_OPTION}: {path} is no signature of OpenSSF Model Signing 1.0, such as "
                "`model_signing sign key` makes"
            ) from error
        if "certificate" in self.material:
            raise OperatorError(
                f"{_OPTION}: {path} is a keyless signature of Sigstore, which takes a network to "
                "verify: verify it with `model_signing verify sigstore`, or have the model signed "
                "with a key or a certificate"
            )

    def signer_of(self, pem: bytes, path: Path) -> str:
        """Returns the signer, in words, if `pem` is of the kind that the signature wants. Raises
        OperatorError."""
        try:
            if self.has_certificates:
                x509.load_pem_x509_certificates(pem)
                first = self.material["x509CertificateChain"]["certificates"][0]["rawBytes"]
                certificate = x509.load_der_x509_certificate(base64.b64decode(first))
                name = certificate.subject.rfc4514_string()
                digest = certificate.fingerprint(hashes.SHA256()).hex()
                return _printable(f"certificate {digest}, {name}")
            key = load_pem_public_key(pem)
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise TypeError("no other keys are in the standard")
            der = key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return f"key {digests.hexdigest(der)}"
        except (*UNREADABLE, LookupError) as error:
            wanted = "certificates" if self.has_certificates else "a public key (elliptic curve)"
            raise OperatorError(
                f"{_SIGNER}: {path} is not {wanted} in PEM, with which this signature was made"
            ) from error

    def place_of(self, sha256: str, copy: Path, source: Path) -> Path:
        """Returns the file or folder that the signature is of: the model's `copy`, if it is of one
        file, else the folder around `source`. Raises TrustError if the model is not in it."""
        if list(self.digests) == [_ITSELF] and self.digests[_ITSELF] == sha256:
            return copy
        for name in (name for name, digest in self.digests.items() if digest == sha256):
            parts = Path(name).parts
            if source.absolute().parts[-len(parts) :] == parts:
                return Path(*source.absolute().parts[: -len(parts)])
        if self.has_others and not self.digests:
            raise OperatorError(
                f"{_OPTION}: {self.path} has no sha256 of whole files: sign the model with "
                "`model_signing sign` and its usual way of hashing"
            )
        if sha256 in self.digests.values():
            raise OperatorError(
                f"{_OPTION}: {self.path} is of a folder in which the model has another name than "
                f"{source}: give --file in the folder as it was signed"
            )
        raise TrustError(
            f"{_OPTION}: {self.path} is not of this model: sha256 {sha256} is not in it; get the "
            "signature and the model from the same place again"
        )


def _verify(
    signature: Path, signer: Path, model: Path, shown: Path, has_certificates: bool
) -> None:
    try:
        from model_signing.verifying import Config
    except ImportError as error:
        raise OperatorError(
            f"{_OPTION}: it takes the package model-signing: pip install 'modelwave[interop]'"
        ) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints warnings
            config: Any = Config()  # type: ignore[no-untyped-call]
            config.set_ignore_unsigned_files(True)
            if has_certificates:
                config.use_certificate_verifier(certificate_chain=[signer])
            else:
                config.use_elliptic_key_verifier(public_key=signer)
            config.verify(model, signature)
    except InvalidSignature as error:
        raise TrustError(f"{_OPTION}: {shown} is not signed by that key") from error
    except Exception as error:  # of any kind, for input that it does not expect
        why = _printable(str(error) or type(error).__name__)
        raise TrustError(f"{_OPTION}: {shown} is not valid: {why}") from error


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:MAX_SIGNER]
