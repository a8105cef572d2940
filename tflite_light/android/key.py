"""The key that an app is signed with: one a user, made once, since Android updates an app only with
one that is signed by the same key.
"""

import contextlib
import datetime
import os
import tempfile
from pathlib import Path
from shlex import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tflite_light.errors import UserError

RSA_BITS = 3072
LIFE_YEARS = 40  # Android installs apps whose certificate has ended, stores ask for 25 years
_RSA, _EC = 0x0103, 0x0201  # signature algorithms of the scheme: PKCS#1 v1.5 and ECDSA, SHA-256
_OPENSSL = (
    "`openssl req -x509 -newkey rsa:3072 -nodes -days 14600 -subj /CN=me -keyout {0} -out {0}`"
)
_TWO = (
    "A key is a PEM file with a private key and its certificate. Of a keystore: `keytool "
    "-importkeystore -srckeystore {0} -destkeystore key.p12 -deststoretype pkcs12`, then `openssl "
    "pkcs12 -in key.p12 -nodes -out key.pem`. A new one: "
)


class Key:
    """A private key, RSA or P-256, and its certificate, the first of `certificates` (DER)."""

    def __init__(self, pem: bytes):
        """Raises ValueError or TypeError where `pem` is not such a pair."""
        private = serialization.load_pem_private_key(pem, None)
        if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("its private key is neither RSA nor elliptic")
        if not isinstance(private, rsa.RSAPrivateKey) and private.curve.name != "secp256r1":
            raise ValueError("its curve is not P-256")  # Android's verifiers need not know others
        self._private = private
        self.algorithm = _RSA if isinstance(private, rsa.RSAPrivateKey) else _EC
        self.public = _der(private.public_key())
        found = x509.load_pem_x509_certificates(pem)
        if _der(found[0].public_key()) != self.public:
            raise ValueError("its certificate is another key's")
        self.certificates = [one.public_bytes(serialization.Encoding.DER) for one in found]

    def sign(self, content: bytes) -> bytes:
        """The same signature every time."""
        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.sign(content, padding.PKCS1v15(), hashes.SHA256())
        return self._private.sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def load(path: Path) -> Key:
    """The key of a PEM file. Raises UserError where it cannot be used."""
    try:
        return Key(path.read_bytes())
    except FileNotFoundError:
        hint = "Make one: " + _OPENSSL.format(quote(str(path)))
        raise UserError(f"the key {path} does not exist.", hint) from None
    except OSError as error:
        raise UserError(
            f"the key {path} cannot be read: {error.strerror}.", "Give a PEM file by `--key`."
        ) from error
    except TypeError:  # a password is needed
        raise UserError(
            f"the key {path} has a password.",
            f"Give one without: `openssl pkey -in {quote(str(path))} -out plain.pem`, and its "
            "certificate.",
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        problem = str(error).split(". ")[0].removesuffix(".")
        raise UserError(
            f"the key {path} cannot be used: {problem}.",
            _TWO.format(quote(str(path))) + _OPENSSL.format("key.pem"),
        ) from error


def own(path: Path) -> Key:
    """The user's key at `path`, which is made, readable by the user alone, where there is none."""
    if not path.exists():
        _make(path)
    return load(path)


def _make(path: Path) -> None:
    """Whole or not at all, and never over another's: an app signed by a lost key is stuck."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # for this user alone
            file.write(_new())
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was quicker
                os.link(file.name, path)
    except OSError as error:
        raise UserError(
            f"cannot make the key {path}: {error.strerror}.", "Give one of your own by `--key`."
        ) from error


def _new() -> bytes:
    """A private key and its certificate, PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tflite-light")])
    since = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + datetime.timedelta(days=365 * LIFE_YEARS))
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return private.private_bytes(pem, pkcs8, plain) + certificate.public_bytes(pem)


def _der(key: object) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, kind)  # type: ignore[attr-defined]
    return encoded
