"""Makes a certificate authority for a test, and with it a server certificate for localhost, and
those of clients.

They have the extensions that RFC 5280 requires: Python 3.13 refuses others
(ssl.VERIFY_X509_STRICT).
"""

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY, SERVER = "test authority", "localhost"
DAY = datetime.timedelta(days=1)


class Authority:
    """The files of both, PEM, in the folder given."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = str(folder / "ca.pem")
        self.cert_file = str(folder / "server.pem")
        self.key_file = str(folder / "server.key")
        self.folder = folder
        self._ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        _write_certificate(self.ca_file, self._signed(_authority(self._ca_key)))
        _write_certificate(self.cert_file, self._signed(_server(key, self._ca_key)))
        _write_key(self.key_file, key)

    def issue(self, name: str) -> tuple[str, str]:
        """Makes the certificate of a client. Returns the names of its file and of its key's."""
        files = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        key = ec.generate_private_key(ec.SECP256R1())
        _write_certificate(files[0], self._signed(_certificate(name, key, self._ca_key)))
        _write_key(files[1], key)
        return files

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._ca_key, hashes.SHA256())

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


def strict_context(ca_file: str) -> ssl.SSLContext:
    """A client's default context as Python 3.13 makes it, on every Python; like many other
    clients it takes a host's name from the alternative names only."""
    context = ssl.create_default_context(cafile=ca_file)
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """Returns when both ends of a connection to `host` are content. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _certificate(AUTHORITY, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )


def _server(
    key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    names = x509.SubjectAlternativeName([x509.DNSName(SERVER)])
    return _certificate(SERVER, key, ca_key).add_extension(names, critical=False)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(AUTHORITY))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write_certificate(path: str, certificate: x509.Certificate) -> None:
    Path(path).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: str, key: ec.EllipticCurvePrivateKey) -> None:
    plain, pkcs8 = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    Path(path).write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
