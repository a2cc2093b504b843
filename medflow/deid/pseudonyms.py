"""Names in place of names: keyed, so that nobody without the key can try candidates."""

import base64
import hmac
import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medflow.deid.keys import KEY_BYTES
from medflow.domain.digests import canonical
from medflow.domain.safe import Pseudonym
from medflow.errors import ConfigurationError

LEAST_DAYS = 366
PURPOSES = ("patient", "uid", "days", "code", "source", "recipient", "fingerprint")
DAYS = 3285
PLACEHOLDERS = frozenset(
    [
        "ANON",
        "ANONYMOUS",
        "ANONYMIZED",
        "ANONYMISED",
        "DEIDENTIFIED",
        "DUMMY",
        "EMPTY",
        "ID",
        "MISSING",
        "NA",
        "NIL",
        "NOID",
        "NONAME",
        "NONE",
        "NOTAVAILABLE",
        "NULL",
        "PATIENT",
        "PATIENTID",
        "REMOVED",
        "TBD",
        "UNDEFINED",
        "UNIDENTIFIED",
        "UNKNOWN",
    ]
)


@dataclass(frozen=True, kw_only=True)
class Pseudonyms:
    """All that is derived from the pseudonym key: each purpose has a key of its own (HKDF-SHA256)."""

    key: bytes = field(repr=False)
    default_issuer: str = field(default="", repr=False)
    """Stands in where a data set has no IssuerOfPatientID."""
    aliases: Mapping[Pseudonym, Pseudonym] = field(default_factory=dict, repr=False)
    """Pseudonym of a merged patient -> the one that stands for the person now; never a chain."""
    recipient: str = field(default="", repr=False)
    """Label of the one whom an export is for; without it, the names are the house's own."""

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ConfigurationError(f"the pseudonym key is {KEY_BYTES} bytes")

    def patient(self, patient_id: str, issuer: str, study_instance_uid: str) -> tuple[Pseudonym, bool]:
        """Give the patient's pseudonym, and whether it is barred: a placeholder ID stands for one study only."""
        known = self.patient_of_id(patient_id, issuer)
        if known is not None:
            return known, False
        return self.recoded_patient(self._pseudonym(["study", "", study_instance_uid.strip(" \0")])), True

    def patient_of_id(self, patient_id: str, issuer: str = "") -> Pseudonym | None:
        """Give the pseudonym of an ID; None for one that is absent or a placeholder."""
        own = self._own(patient_id, issuer)
        return None if own is None else self.recoded_patient(self.aliases.get(own, own))

    def merged_into(self, patient_id: str, issuer: str = "") -> Pseudonym | None:
        """Say who stands for a patient whose record was merged into another's; None for any other."""
        own = self._own(patient_id, issuer)
        return None if own is None else self.aliases.get(own)

    def for_recipient(self, label: str) -> "Pseudonyms":
        """Give the pseudonyms of one recipient of exports: two recipients' cannot be joined without the key.

        Raises:
            ConfigurationError: the label is empty.
        """
        if not label.strip():
            raise ConfigurationError("a recipient's label is a word, such as the name of the study that asks")
        return replace(self, recipient=label.strip())

    def recoded_patient(self, patient: Pseudonym) -> Pseudonym:
        """Give the name under which the recipient knows a patient of the house; the same where there is none."""
        if not self.recipient:
            return patient
        return _pseudonym(self._mac("recipient", ["patient", self.recipient, patient]))

    def recoded_uid(self, uid: str) -> str:
        """Give the UID under which the recipient knows what the house calls `uid`; the same where there is none."""
        return _uid(self._mac("recipient", ["uid", self.recipient, uid])) if self.recipient else uid

    def uid(self, original: str) -> str:
        """Map a UID to one below 2.25 (PS3.5 B.2); the same original always to the same."""
        return self.recoded_uid(_uid(self._mac("uid", original.strip(" \0"))))

    def day_shift(self, pseudonym: Pseudonym) -> int:
        """Give the days by which all dates of a patient are moved: negative, a year at least, ten at most."""
        return -(LEAST_DAYS + int.from_bytes(self._mac("days", str(pseudonym)), "big") % DAYS)

    def code(self, kind: str, value: str) -> str:
        """Stand in for a serial number or a member of staff: 8 letters and digits."""
        own = base64.b32encode(self._mac("code", [kind, value.strip(" \0")])[:5]).decode("ascii")
        return self.recoded_code(own)

    def recoded_code(self, code: str) -> str:
        """Give the code that the recipient sees in place of one of the house; the same where there is none."""
        if not self.recipient:
            return code
        return base64.b32encode(self._mac("recipient", ["code", self.recipient, code])[:5]).decode("ascii")

    def file_key(self, source: str, relative: str, member: str = "") -> str:
        """Name a file of a source in rows and logs: 32 hex digits."""
        return self._mac("source", ["file", source, _exact(relative), _exact(member)]).hex()[:32]

    def source_digest(self, sha256s: Iterable[str], *, merged_into: Pseudonym | None = None) -> str:
        """Name the original files of a series, whatever their order: 64 hex digits.

        Files of a patient whose record was `merged_into` another's have another name, for they become other files.
        """
        own = self._mac("source", ["series", sorted(sha256s)]).hex()
        return self.recoded_digest(own if merged_into is None else self.merged_digest(own, merged_into))

    def recoded_digest(self, digest: str) -> str:
        """Give what the recipient sees in place of a keyed digest of the house; the same where there is none."""
        return self._mac("recipient", ["source", self.recipient, digest]).hex() if self.recipient else digest

    def merged_digest(self, source_digest: str, patient: Pseudonym) -> str:
        """Name the same files taken in again as another patient's, because two records were merged."""
        return self._mac("source", ["merged", source_digest, patient]).hex()

    @property
    def fingerprint(self) -> str:
        """Tell this key from others: 64 hex digits that help nobody to guess it."""
        return self._mac("fingerprint", "pseudonym key").hex()

    def _own(self, patient_id: str, issuer: str) -> Pseudonym | None:
        """Give the pseudonym that an ID has by itself."""
        trimmed = patient_id.strip(" \0")
        if is_placeholder(trimmed):
            return None
        return self._pseudonym([issuer.strip(" \0") or self.default_issuer, trimmed])

    def _pseudonym(self, identity: list[str]) -> Pseudonym:
        return _pseudonym(self._mac("patient", identity))

    def _mac(self, purpose: str, value: str | Sequence[str | Sequence[str]]) -> bytes:
        return hmac.digest(self._keys[purpose], canonical(value).encode("ascii"), "sha256")

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        return {purpose: self._derived(purpose) for purpose in PURPOSES}

    def _derived(self, purpose: str) -> bytes:
        info = f"medflow/{purpose}/1".encode("ascii")
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self.key)


def _pseudonym(mac: bytes) -> Pseudonym:
    return Pseudonym("P" + base64.b32encode(mac[:10]).decode("ascii"))


def _uid(mac: bytes) -> str:
    name = bytearray(mac[:16])
    name[6] = name[6] & 0x0F | 0x80
    name[8] = name[8] & 0x3F | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(name)).int}"


def _exact(name: str) -> str:
    """Spell a file's name so that no other one is spelled alike: the canonical form makes its accents NFC."""
    return name if unicodedata.is_normalized("NFC", name) else name.encode("utf-8", "surrogatepass").hex()


def is_placeholder(patient_id: str) -> bool:
    """Say whether an ID names nobody: absent, a word for absent, or one filler character repeated.

    >>> [is_placeholder(each) for each in ("", "0000", "n/a", "Unknown", "4711")]
    [True, True, True, True, False]
    """
    plain = re.sub(r"[^0-9A-Za-z\u0080-\U0010ffff]", "", patient_id).upper()
    return not plain or plain in PLACEHOLDERS or (set(plain) <= {"0", "9", "X"} and len(set(plain)) == 1)
