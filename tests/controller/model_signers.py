"""Makers of models for tests, who sign with OpenSSF Model Signing."""

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


class KeyMaker:
    """A maker with an elliptic-curve key: `public` is its file."""

    def __init__(self, folder: Path, name: str = "maker") -> None:
        self.secret = ec.generate_private_key(ec.SECP256R1())
        self.file, self.public = folder / f"{name}.key", folder / f"{name}.pem"
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        self.file.write_bytes(self.secret.private_bytes(PEM, pkcs8, plain))
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public.write_bytes(self.secret.public_key().public_bytes(PEM, spki))

    def sign(self, model: Path, signature: Path) -> Path:
        config = _signing()
        config.use_elliptic_key_signer(private_key=self.file).sign(model, signature)
        return signature


class CertifiedMaker(KeyMaker):
    """A maker with a certificate: `authority` is the file with the certificate of its authority."""

    def __init__(self, folder: Path, name: str = "certified") -> None:
        super().__init__(folder, name)
        ca_key = ec.generate_private_key(ec.SECP256R1())
        self.authority, self.certificate = folder / f"{name}-ca.pem", folder / f"{name}-cert.pem"
        self.authority.write_bytes(_certificate("authority", ca_key, "authority", ca_key))
        self.certificate.write_bytes(
            _certificate("authority", ca_key, "maker of models", self.secret)
        )

    def sign(self, model: Path, signature: Path) -> Path:
        config = _signing()
        config.use_certificate_signer(
            private_key=self.file,
            signing_certificate=self.certificate,
            certificate_chain=[self.authority],
        ).sign(model, signature)
        return signature


def _signing() -> Any:
    from model_signing.signing import Config  # takes more than a second

    return Config()


def _certificate(
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    subject: str,
    key: ec.EllipticCurvePrivateKey,
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    is_ca = issuer == subject
    usage = x509.KeyUsage(not is_ca, *4 * [False], is_ca, is_ca, False, False)
    made = (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return made.sign(issuer_key, hashes.SHA256()).public_bytes(PEM)
