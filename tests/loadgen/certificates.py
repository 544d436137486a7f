"""Certificates for tests, made by OpenSSL at test time."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

CA = """[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = keyCertSign
"""
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def authority(folder: Path, name: str = "ca") -> Path:
    """Make an authority; return its certificate."""
    config = folder / "openssl.cnf"
    config.write_text(CA)
    _openssl(
        folder, "req", "-x509", *NEW_KEY, "-config", str(config),
        "-extensions", "ca", "-subj", f"/CN=Test {name}", "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem",
    )  # fmt: skip
    return folder / f"{name}.pem"


def certificate(
    folder: Path, name: str, *, ca: str | None = "ca", alternative: str = "IP:127.0.0.1", days: str = "1"
) -> tuple[Path, Path]:
    """Make a certificate for a host, signed by an authority or, without one, by itself; return it and its key."""
    config = folder / f"{name}.cnf"
    config.write_text(f"[req]\ndistinguished_name = dn\n[dn]\n[v3]\nsubjectAltName = {alternative}\n")
    _openssl(
        folder, "req", "-new", *NEW_KEY, "-config", str(config),
        "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
    )  # fmt: skip
    signer = ["-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial"] if ca else ["-signkey", f"{name}.key"]
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-days", days, "-extfile", str(config),
        "-extensions", "v3", "-out", f"{name}.pem",
    )  # fmt: skip
    return folder / f"{name}.pem", folder / f"{name}.key"


def server_side(certificate: tuple[Path, Path], clients: Path | None = None) -> ssl.SSLContext:
    """Return the TLS settings of a server; with an authority of clients, a client must have a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)
