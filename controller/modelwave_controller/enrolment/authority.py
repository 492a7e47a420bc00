"""The fleet's certificate authority: certificates of the broker, the controller and devices.

Keys are ECDSA on P-256, which the TLS of every board has. A certificate of a client is no
certificate of a server: a stolen device cannot pass for the broker. The authority's key is in
offline/, encrypted; its certificate in ca/.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.interruption import held_back
from modelwave_controller.trust import pkcs8
from modelwave_controller.trust.keys import MAX_KEY_FILE_BYTES, UNREADABLE, Ask

AUTHORITY_DAYS = 20 * 365
CLIENT_DAYS = 10 * 365
SERVER_DAYS = 825  # the most that many clients take of a server
MAX_HOSTS = 16
MAX_COMMON_NAME = 64  # RFC 5280, ub-common-name
_EARLIER = datetime.timedelta(days=1)  # for clocks that are behind


class Certificate(NamedTuple):
    """A certificate and its private key, both in PEM; `key` is not encrypted."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def server(self, hosts: Sequence[str], now: float, days: int = SERVER_DAYS) -> Certificate:
        """Makes the certificate of a server that clients reach by these names and addresses."""
        names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
        return self._sign(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, names, now, days)

    def client(self, name: str, now: float, days: int = CLIENT_DAYS) -> Certificate:
        """Makes the certificate of the broker's user `name`."""
        return self._sign(name, ExtendedKeyUsageOID.CLIENT_AUTH, None, now, days)

    def _sign(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
        now: float,
        days: int,
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_named(name), self.certificate.subject, key, self.key, now, days)
        made = made.add_extension(x509.BasicConstraints(False, None), critical=True)
        made = made.add_extension(_usage(is_authority=False), critical=True)
        made = made.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names:
            made = made.add_extension(names, critical=False)
        signed = made.sign(self.key, hashes.SHA256())
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Certificate(signed.public_bytes(Encoding.PEM), plain)


def create(home: Home, passphrase: bytes, now: float, days: int = AUTHORITY_DAYS) -> None:
    """Makes the authority of a home that has none. Raises OperatorError."""
    folder, key_file = home.path / "ca", home.offline / "ca.key"
    for path in (folder / "ca.pem", key_file):
        if path.exists():
            raise OperatorError(f"{path} exists: the fleet has an authority already")
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"modelwave {home.config.fleet}")
    made = _builder(name, name, key, key, now, days)
    made = made.add_extension(x509.BasicConstraints(True, 0), critical=True)
    made = made.add_extension(_usage(is_authority=True), critical=True)
    certificate = made.sign(key, hashes.SHA256())
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    disk.make_folder(home.offline, 0o700)
    disk.make_folder(folder)
    with held_back():
        disk.create_file(key_file, pkcs8.encrypted_pem(plain, passphrase), 0o600)
        disk.replace(folder / "ca.der", certificate.public_bytes(Encoding.DER))
        disk.replace(folder / "ca.pem", certificate.public_bytes(Encoding.PEM))


def load(home: Home, ask: Ask) -> Authority:
    """Reads the home's authority, with its key. Raises OperatorError."""
    key_file, file = home.offline / "ca.key", home.path / "ca" / "ca.pem"
    if not file.exists():
        raise OperatorError(f"there is no {file}: make the authority with `modelwave ca init`")
    certificate = x509.load_pem_x509_certificate(
        disk.read_input(file, "authority", MAX_KEY_FILE_BYTES)
    )
    data = disk.read_input(key_file, "authority's key", MAX_KEY_FILE_BYTES)
    try:
        key = serialization.load_pem_private_key(data, ask())
    except UNREADABLE as error:
        raise OperatorError(
            f"{key_file}: the passphrase is wrong, or the file is damaged"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OperatorError(f"{key_file}: not the key that `modelwave ca init` made")
    if key.public_key() != certificate.public_key():
        raise OperatorError(f"{key_file}: not the key of {file}")
    return Authority(certificate, key)


def check_hosts(hosts: Sequence[str]) -> None:
    """Raises OperatorError unless a certificate may have these names."""
    if not 1 <= len(hosts) <= MAX_HOSTS:
        raise OperatorError(f"HOST: give 1 to {MAX_HOSTS} names or addresses")
    for host in hosts:
        try:
            _alternative(host)
        except ValueError as error:
            raise OperatorError(f"HOST: {host[:64]!r}: {error}") from error


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        labels = host.lower().split(".")
        if len(host) > 253 or not all(_is_label(label) for label in labels):
            raise ValueError(
                "no host name or IP address, such as broker.example or 192.0.2.10"
            ) from None
        return x509.DNSName(host.lower())


def _is_label(label: str) -> bool:
    letters = label.replace("-", "")
    return 0 < len(label) < 64 and letters.isascii() and letters.isalnum() and label[0] != "-"


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: float,
    days: int,
) -> x509.CertificateBuilder:
    start = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _EARLIER)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:MAX_COMMON_NAME])])


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
