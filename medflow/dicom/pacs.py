"""The PACS that may be asked about a series, by their addresses; `medflow.dicom.ask` does the asking."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from medflow.errors import ConfigurationError

TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}")
"""An application entity's title (PS3.5 6.2, AE)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacs:
    """One PACS that may be asked, and how."""

    host: str
    port: int | None = None
    title: str = ""
    """Called AE title of a PACS that speaks DIMSE; empty where it speaks DICOMweb."""
    own_title: str = "MEDFLOW"
    url: str = field(default="", repr=False)
    """Base of a DICOMweb service, without the account."""
    account: str = field(default="", repr=False)
    """user:password"""
    timeout: float = 10.0
    """Seconds for each answer."""


def pacs_of(text: str, *, own_title: str, timeout: float) -> tuple[Pacs, ...]:
    """Read the addresses of the PACS, separated by commas: `dicom://TITLE@host:port` or `https://host/dicom-web`.

    Raises:
        ConfigurationError: one of them is no such address. The message does not repeat it: it may hold a password.
    """
    if TITLE.fullmatch(own_title) is None:
        raise ConfigurationError("MEDFLOW_PACS_OWN_TITLE must be an AE title: 1 to 16 characters")
    return tuple(_pacs(part.strip(), own_title, timeout) for part in text.split(",") if part.strip())


def _pacs(address: str, own_title: str, timeout: float) -> Pacs:
    wrong = "MEDFLOW_PACS must be dicom://TITLE@host:port or https://host/path; several are separated by commas"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(wrong) from None
    if not host:
        raise ConfigurationError(wrong)
    if parts.scheme == "dicom":
        title = unquote(parts.username or "")
        if port is None or TITLE.fullmatch(title) is None:
            raise ConfigurationError(wrong)
        return Pacs(host=host, port=port, title=title, own_title=own_title, timeout=timeout)
    if parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise ConfigurationError(wrong)
    account = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return Pacs(host=host, port=port, url=bare.geturl().rstrip("/"), account=account, timeout=timeout)
