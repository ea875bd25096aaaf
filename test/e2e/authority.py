"""A certificate authority of the test's own, and the certificates that it issues, good ones and others."""

import base64
import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def _named(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _new_key(kind):
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


class Authority:
    def __init__(self, file):
        self.file = file  # its certificate, for those who are to trust it
        self.key = _new_key("ec")
        self.name = _named("Test Authority")
        usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                               "key_agreement", "encipher_only", "decipher_only"), False)
        certificate = (
            self._draft(self.name, self.key.public_key(), self.name, self.key, expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
            .sign(self.key, hashes.SHA256()))
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def _draft(subject, public_key, issuer, issuer_key, expired):
        end = datetime.datetime.utcnow() + (-DAY if expired else 30 * DAY)
        return (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - 60 * DAY).not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))

    def issue(self, folder, host, valid_for=None, key="ec", expired=False, self_signed=False, behind=None):
        """Write HOST.pem, certificate and key, into a folder; return the certificate's serial number.

        A file of certificates may follow in the chain.
        """
        subject, subject_key = _named(valid_for or host), _new_key(key)
        issuer, issuer_key = (subject, subject_key) if self_signed else (self.name, self.key)
        certificate = (
            self._draft(subject, subject_key.public_key(), issuer, issuer_key, expired)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(valid_for or host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(issuer_key, hashes.SHA256()))
        (folder / f"{host}.pem").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM) + (behind.read_bytes() if behind else b"")
            + subject_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return certificate.serial_number


def serial(file):
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def pin(file):
    """By what a browser knows the key of a certificate: the SHA-256 of the public key, in base64."""
    key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()
