"""A certificate authority of one certificate, for a webhook on a cluster without cert-manager."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class ServingCertificate:
    """PEM texts: the CA's certificate, and a key and certificate that it has signed for some DNS names."""

    ca: bytes
    certificate: bytes
    key: bytes


def issue(*dns_names: str) -> ServingCertificate:
    """Make a CA, sign one serving certificate with it and forget the CA's key."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "squeezeserve development CA")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, dns_names[0][:64])])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    alternatives = x509.SubjectAlternativeName([x509.DNSName(dns) for dns in dns_names])
    signed = (
        _builder(name, ca_name, key.public_key())
        .add_extension(alternatives, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ServingCertificate(ca.public_bytes(pem), signed.public_bytes(pem), key_text)


def _builder(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )
