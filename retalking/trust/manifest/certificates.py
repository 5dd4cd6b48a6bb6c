"""The certificate that signs: the user's, or one made on this machine and marked as such."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retalking.errors import ConfigError
from retalking.files import commit, partial_file
from retalking.locations import user_cache

OWN_ORGANISATION = "Retalking: made on this machine, nobody vouches for it"
_DAYS = 3650
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Credentials:
    """What signs a manifest.

    Attributes:
        chain: certificates in PEM, the signer's first.
        private_key: in PEM, PKCS 8.
        algorithm: C2PA's name of the signature.
    """

    chain: bytes
    private_key: bytes
    algorithm: str


def find_credentials(chain: Path | None, private_key: Path | None) -> Credentials:
    """Read the user's certificate, or the one of this machine, which is made when it is missing.

    Raises:
        ConfigError: one of the two files is not given, cannot be read or used.
        ImportError: the package ``cryptography`` is missing.
    """
    if (chain is None) != (private_key is None):
        raise ConfigError("--certificate and --certificate-key: give both or neither")
    if chain is not None and private_key is not None:
        return _read(chain, private_key)
    folder = user_cache() / "retalking" / "signing"
    own_chain, own_key = folder / "chain.pem", folder / "key.pem"
    if not (own_chain.is_file() and own_key.is_file()):
        try:
            _make_own(own_chain, own_key)
        except OSError as error:
            raise ConfigError(
                f"{folder}: no certificate can be made there: {error.strerror}; give "
                "--certificate, or --provenance off"
            ) from None
    return _read(own_chain, own_key)


def _read(chain: Path, private_key: Path) -> Credentials:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra)
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    try:
        certificates, secret = chain.read_bytes(), private_key.read_bytes()
        signer = load_pem_x509_certificates(certificates)[0]
        key = serialization.load_pem_private_key(secret, None)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, IndexError) as error:
        raise ConfigError(
            f"{chain}, {private_key}: expected certificates and an unencrypted key in PEM: {error}"
        ) from None
    if key.public_key() != signer.public_key():
        raise ConfigError(f"{private_key}: is not the key of the first certificate of {chain}")
    packed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Credentials(certificates, packed, _algorithm(key, private_key))


def _algorithm(key: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ConfigError(f"{path}: expected a key of P-256, P-384, P-521, RSA or Ed25519")


def _make_own(chain: Path, private_key: Path) -> None:
    """Make a root, forget its key, and keep what it signed: C2PA takes no self-signed signer."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate("root", root_key.public_key(), root_key)
    signer = _certificate("signer", key.public_key(), root_key)
    pem = serialization.Encoding.PEM
    chain.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for path, data in (
        (private_key, secret),
        (chain, signer.public_bytes(pem) + root.public_bytes(pem)),
    ):
        with partial_file(path) as partial:
            os.chmod(partial, 0o600)
            partial.write_bytes(data)
            commit(partial, path)


def _certificate(name: str, public: Any, issuer_key: Any) -> Any:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    def named(common: str) -> Any:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, OWN_ORGANISATION)
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])

    is_root, now = name == "root", datetime.datetime.now(datetime.timezone.utc)
    uses = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage = x509.KeyUsage(
        digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **uses
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(f"Retalking {name}"))
        .issuer_name(named("Retalking root"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if not is_root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(purpose, critical=False)
        builder = builder.add_extension(issuer, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
