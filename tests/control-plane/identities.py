"""What a control plane mints: a CA for each trust domain, leaf certificates with one SPIFFE ID, dataplane tokens."""
import base64
import datetime
import ipaddress
import json
import time
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def pem_of_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def pem_of(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _builder(subject, issuer, public_key, seconds):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(seconds=10))
            .not_valid_after(now + datetime.timedelta(seconds=seconds)))


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _usage(*allowed):
    usages = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
              "encipher_only", "decipher_only")
    return x509.KeyUsage(**{usage: usage in allowed for usage in usages})


class Ca:
    """One trust domain, or (trust_domain=None) the CA of the control plane's own certificate."""

    def __init__(self, trust_domain=None):
        self.trust_domain = trust_domain
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(trust_domain or "control-plane-ca")
        builder = _builder(self._subject, self._subject, self._key.public_key(), 10 * 365 * 86400)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        if trust_domain:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False)
        self.pem = pem_of(builder.sign(self._key, hashes.SHA256()))

    def _leaf(self, names, key, seconds, subject=""):
        # Without a subject the names must be critical (RFC 5280, 4.2.1.6).
        builder = _builder(_name(subject), self._subject, key.public_key(), seconds)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # Envoy takes a leaf that names no usage for one that may sign certificates, and refuses it.
        builder = builder.add_extension(_usage("digital_signature", "key_encipherment", "key_agreement"), critical=True)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return pem_of(builder.sign(self._key, hashes.SHA256())), pem_of_key(key)

    def svid(self, path, seconds=86400, key_type="rsa", more_uris=(), dns=()):
        """(certificate, key) for spiffe://TRUST-DOMAIN/PATH, and the DNS names `dns`; RSA, as the control plane makes it."""
        key = rsa.generate_private_key(65537, 2048) if key_type == "rsa" else ec.generate_private_key(ec.SECP256R1())
        uris = [f"spiffe://{self.trust_domain}/{path}", *more_uris]
        names = [*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns)]
        return self._leaf(names, key, seconds)

    def server(self, addresses, names=("localhost",), seconds=86400):
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses] + [x509.DNSName(name) for name in names]
        return self._leaf(names, ec.generate_private_key(ec.SECP256R1()), seconds, subject="control-plane")


def _encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens:
    """Signs dataplane tokens as the control plane does; `public_key` is what checks them."""

    def __init__(self):
        self._key = rsa.generate_private_key(65537, 2048)
        self.public_key = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def make(self, name="", mesh="default", workload="", seconds=3600, not_before=-5, **claims):
        now = int(time.time())
        body = {"Name": name, "Mesh": mesh, "Tags": {}, "Type": "", "Workload": workload, "exp": now + seconds, "nbf": now + not_before,
                "iat": now + not_before, "jti": str(uuid.uuid4()), **claims}
        header = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, body))
        return f"{signed}.{_encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
