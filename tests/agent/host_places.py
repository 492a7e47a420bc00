"""Places on this machine for tests of the host side: ports, authorities, a real broker."""

import contextlib
import datetime
import os
import shutil
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextlib.contextmanager
def refused_port():
    """A port that nobody listens on, and nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Authority:
    """A certificate authority, and a server's certificate for `localhost` from it."""

    def __init__(self, folder):
        self.ca_file = str(folder / "ca.pem")
        self.cert_file = str(folder / "server.pem")
        self.key_file = str(folder / "server.key")
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        ca = _certificate("test authority", ca_key, "test authority", ca_key, constraints)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        certificate = _certificate("localhost", key, "test authority", ca_key, names)
        _write(self.ca_file, ca.public_bytes(serialization.Encoding.PEM))
        _write(self.cert_file, certificate.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        pkcs8 = serialization.PrivateFormat.PKCS8
        _write(self.key_file, key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


def _certificate(name, key, issuer, issuer_key, extension):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(extension, critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)


class Mosquitto:
    """A real broker on a port that the system picked. `lines`: of its configuration."""

    def __init__(self, folder, *lines):
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        self.folder = folder
        self.lines = lines
        with refused_port() as port:
            self.port = port
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Returns once it accepts connections."""
        config = self.folder / "mosquitto.conf"
        said = [f"listener {self.port} 127.0.0.1", "log_dest stderr", *self.lines]
        if not any(line.startswith("password_file") for line in self.lines):
            said.append("allow_anonymous true")
        if os.getuid() == 0:
            said.append("user root")  # or it becomes one that cannot read this folder
        config.write_text("\n".join(said) + "\n")
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", config], stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            if "running" in line:
                return
        raise RuntimeError(f"mosquitto ended with {self.process.wait()}")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def add_user(self, name, password):
        passwords = self.folder / "passwords"
        command = ["mosquitto_passwd", "-b", *([] if passwords.exists() else ["-c"])]
        subprocess.run([*command, passwords, name, password], check=True, capture_output=True)
