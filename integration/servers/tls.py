"""A throw-away certificate authority (trustme) and server contexts, good and bad (faults.md N-12)."""

import datetime
import os
import ssl
import tempfile

import trustme

KINDS = ("good", "expired", "wrong-host", "self-signed", "unknown-ca", "tls1.0")


class Authority:
    """One CA; `ca_file` is the PEM to trust. Files live in `directory`."""

    def __init__(self, directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="sluice-ca-")
        self.ca = trustme.CA()
        self.ca_file = os.path.join(self.directory, "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self._issued = {}

    def certificate_files(self, kind="good"):
        """(certificate chain path, key path) for 127.0.0.1 and localhost, or a bad one of KINDS."""
        if kind not in self._issued:
            self._issued[kind] = self._issue(kind)
        return self._issued[kind]

    def _issue(self, kind):
        chain = os.path.join(self.directory, f"{kind}.pem")
        key = os.path.join(self.directory, f"{kind}.key")
        issuer, names, extra = self.ca, ("127.0.0.1", "localhost", "*.localhost"), {}
        if kind == "expired":
            extra["not_after"] = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        elif kind == "wrong-host":
            names = ("elsewhere.example",)
        elif kind == "unknown-ca":
            issuer = trustme.CA()
        elif kind == "self-signed":
            return self._self_signed(chain, key)
        elif kind not in KINDS:
            raise ValueError(f"unknown certificate kind {kind}: one of {KINDS}")
        certificate = issuer.issue_cert(*names, **extra)
        certificate.private_key_pem.write_to_path(key)
        for index, blob in enumerate(certificate.cert_chain_pems):
            blob.write_to_path(chain, append=index > 0)
        return chain, key

    @staticmethod
    def _self_signed(chain, key):
        """A leaf that signs itself: no CA anywhere knows it."""
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.datetime.now(datetime.timezone.utc)
        built = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
                 .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                 .not_valid_after(now + datetime.timedelta(days=1))
                 .add_extension(x509.SubjectAlternativeName(
                     [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]), critical=False)
                 .sign(private, hashes.SHA256()))
        with open(chain, "wb") as file:
            file.write(built.public_bytes(serialization.Encoding.PEM))
        with open(key, "wb") as file:
            file.write(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))
        return chain, key

    def server_context(self, kind="good"):
        """An ssl.SSLContext that serves the certificate of `kind`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate_files("good" if kind == "tls1.0" else kind))
        if kind == "tls1.0":
            # Security level 0: OpenSSL 3 refuses TLS 1.0's SHA-1 signatures at level 1.
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1
        return context
