"""Access to a server: from options, target file and environment to the base URL and the credentials."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from reelbench.loadgen.http.credentials import Credentials, carries_secret
from reelbench.loadgen.http.transport import CERTIFICATE
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.target.target_file import Access

API_KEY_ENV: Final = "OPENAI_API_KEY"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS: Final = frozenset(
    {"accept-encoding", "baggage", "connection", "content-length", "content-type", "traceparent", "transfer-encoding"}
)
"""Headers that the client itself writes."""
_PROXIES: Final = ("http", "https")


class AccessError(Exception):
    """Access that cannot be resolved; `errors` has one sentence for each mistake, without secrets."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def parse_headers(lines: Sequence[str]) -> dict[str, str]:
    """Return the headers of the command line, ``Name: value`` each.

    Raises:
        AccessError: a line without a colon, or a name that is given twice.
    """
    headers: dict[str, str] = {}
    errors = []
    for line in lines:
        name, colon, value = (part.strip(" \t") for part in line.partition(":"))
        if not colon or not name:
            errors.append("--header: a value has no name with a colon; write it like 'X-Org: ${ORG}'")
        elif name.lower() in (known.lower() for known in headers):
            errors.append(f"--header: {name!r} is given more than once; give it once")
        else:
            headers[name] = value
    if errors:
        raise AccessError(errors)
    return headers


def resolve(url: str, access: Access, environment: Mapping[str, str]) -> tuple[str, Credentials]:
    """Return the base URL without user and password, and the credentials.

    Args:
        url: The base URL; ``${NAME}`` in it is replaced by the environment variable of that name.
        access: Command line and target file together.
        environment: Holds the secrets and the proxies.

    Raises:
        AccessError: with all mistakes.
    """
    errors: list[str] = []
    bare, user = _split(url)
    headers = _headers(access.headers, environment, errors)
    named = {name.lower() for name in headers}
    key = _key(access, environment, errors)
    if user and access.api_key_env is not None:
        errors.append(
            "--target: has a password and --api-key-env is given; both are sent as Authorization, so give one"
        )
    elif "authorization" in named and (user or access.api_key_env is not None):
        other = "a password in --target" if user else "--api-key-env"
        errors.append(f"--header: Authorization is given with {other}; give one of them")
    elif user:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    elif key and "authorization" not in named:
        headers["Authorization"] = f"Bearer {key}"
    if access.client_key is not None and access.client_cert is None:
        errors.append("--client-key: is given without --client-cert; give both")
    credentials = Credentials(
        origin=bare,
        headers=headers,
        user=user,
        ca_file=_path(access.ca_file),
        client_cert=_path(access.client_cert),
        client_key=_path(access.client_key),
        insecure=access.insecure,
        proxies=_proxies(bare, environment, errors),
    )
    errors += _certificate_errors(credentials)
    if errors:
        raise AccessError(errors)
    return bare, credentials


def root_url(url: str, path: str) -> str:
    """Return a base URL without its last part if the paths of requests begin with that part, such as ``/v1``."""
    first = "/" + path.split("/")[1]
    return url.rstrip("/").removesuffix(first) if path.count("/") > 1 else url.rstrip("/")


def filled(text: str, environment: Mapping[str, str], place: str) -> str:
    """Return a text with the values of the environment variables that it names.

    Raises:
        AccessError: a variable is not set, or has a character that no header can have.
    """
    errors = []
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        value = environment.get(name, "")
        if not value:
            errors.append(f"{place}: the environment variable {name} is not set; set it")
        elif not _printable(value):
            errors.append(f"{place}: the environment variable {name} has a line break or another character that is not "
                          "printable ASCII; set it without")  # fmt: skip
    if errors:
        raise AccessError(errors)
    return _VARIABLE.sub(lambda found: environment[found[1]], text)


def refusal(
    url: str, status: int | None, error: str | None, credentials: Credentials, *, about_key: bool = False
) -> str | None:
    """Return one sentence with the cure for an answer that is about access; None: the answer is about something else.

    Args:
        url: The base URL, as shown.
        status: Status of the answer; None: no answer.
        error: The line that explains it.
        credentials: What was sent.
        about_key: True for an answer that speaks of a key; some servers answer 400 to a wrong one.
    """
    said = credentials.clean(f": {error.partition(': ')[2]}" if error and ": " in error else "")
    if status is None and error and error.startswith(CERTIFICATE):
        return f"target {url}: {error}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"the proxy of {url} asks for a login (HTTP 407); put user and password into the proxy's URL"
    if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and not about_key:
        return None
    if not credentials.sends_key:
        return (
            f"target {url} asks for a key (HTTP {status}{said}) and none was sent; set {API_KEY_ENV}, or name the "
            "variable that holds the key with --api-key-env"
        )
    kind = "password of the URL" if credentials.user else "key"
    cure = "correct it" if credentials.user else f"correct the value of {API_KEY_ENV}, or of --api-key-env or --header"
    return f"target {url} refused the {kind} that was sent (HTTP {status}{said}); {cure}"


def _split(url: str) -> tuple[str, str]:
    """Return a base URL without user and password, and these as written."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=place).geturl().rstrip("/"), user


def _headers(given: Mapping[str, str], environment: Mapping[str, str], errors: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            errors.append("--header: a name has characters that no header can have; use letters, digits and -")
        elif name.lower() in _OURS:
            errors.append(f"--header: {name} is written by the client itself; leave it out")
        elif carries_secret(name) and not _VARIABLE.search(value):
            errors.append(f"--header: {name} carries a secret; put it into a variable: '{name}: ${{NAME}}'")
        elif not _printable(value) or not value:
            errors.append(f"--header: {name} is empty or has a character that is not printable ASCII; correct it")
        else:
            try:
                headers[name] = filled(value, environment, f"--header: {name}")
            except AccessError as error:
                errors += error.errors
    return headers


def _key(access: Access, environment: Mapping[str, str], errors: list[str]) -> str:
    name = access.api_key_env or API_KEY_ENV
    try:
        return filled(f"${{{name}}}", environment, "--api-key-env" if access.api_key_env else name).strip()
    except AccessError as error:
        if access.api_key_env is not None or environment.get(name):
            errors += error.errors
        return ""


def _proxies(url: str, environment: Mapping[str, str], errors: list[str]) -> dict[str, str]:
    """Return the proxies of the environment; names in lower case come before those in upper case."""
    lower = {name.lower(): value for name, value in environment.items() if name.lower().endswith("_proxy")}
    lower |= {name: value for name, value in environment.items() if name.endswith("_proxy")}
    found = {name.removesuffix("_proxy"): value for name, value in lower.items() if value}
    chosen = Credentials(proxies=found).proxy(url)
    if chosen is not None and urlsplit(chosen if "://" in chosen else f"http://{chosen}").scheme not in _PROXIES:
        errors.append(f"the proxy {shown_url(chosen)} is no http proxy; use one, or name the server in NO_PROXY")
    return {
        name: value if name == "no" or "://" in value else f"http://{value}"
        for name, value in found.items()
        if name in {*_PROXIES, "all", "no"}
    }


def _certificate_errors(credentials: Credentials) -> list[str]:
    """Return what is wrong with the files of certificates, one sentence per file."""
    files = {
        "--ca-file": credentials.ca_file,
        "--client-cert": credentials.client_cert,
        "--client-key": credentials.client_key,
    }
    given = {option: path for option, path in files.items() if path is not None}
    if not given:
        return []  # the certificates of the system are read when a connection needs them, which takes 0.1 s
    for option, path in given.items():
        if path.exists() and not path.is_file():
            return [f"{option}: {path} is no regular file; name a PEM file"]
        try:
            path.read_bytes()
        except OSError as error:
            return [f"{option}: {path} cannot be read ({error.strerror}); name a PEM file"]
    try:
        replace(credentials, client_cert=None, client_key=None).tls()
    except (OSError, ValueError):
        return [f"--ca-file: {credentials.ca_file} has no certificate in PEM form; name a PEM file"]
    try:
        credentials.tls()
    except (OSError, ValueError) as error:
        reason = "do not belong together" if isinstance(error, ssl.SSLError) and "MISMATCH" in str(error) else (
            "are no certificate and key in PEM form without a password"
        )  # fmt: skip
        return [f"--client-cert: {credentials.client_cert} and its key {reason}; name PEM files that do"]
    return []


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _printable(value: str) -> bool:
    return value.isascii() and value.isprintable()
