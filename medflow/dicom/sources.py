"""One file of an export, whatever it is: an object, or an archive with all of its members."""

from collections.abc import Iterator

from medflow.dicom.archives.entries import allowance
from medflow.dicom.archives.members import HEAD, Archive, Content, kind_of, members, peeled
from medflow.dicom.content import opened_file
from medflow.dicom.read import ImageObject, Sharing, read_object, refused
from medflow.domain.series import SetAside, SourceFile
from medflow.errors import Reason, SeriesError, came_from

Outcome = ImageObject | SetAside | Archive


def read_file(file: SourceFile, shared: Sharing) -> Iterator[Outcome]:
    """Read one file: what it holds, or each member of an archive and then the archive. It never raises about content.

    An archive that breaks off in the middle is told of with a reason, behind the members that were read before.
    """
    outcome: Outcome | None = None
    archive, refusal = False, None
    try:
        with opened_file(file) as stream:
            content = peeled(stream, file.size, allowance(file.size))
            archive = content.kind is not None
            if archive:
                yield from _members(file, content, shared)
            else:
                outcome = read_object(file, content, shared)
    except SeriesError as error:
        refusal = error
    except OSError:
        refusal = SeriesError(Reason.UNREADABLE_FOLDER if file.relative.endswith("/") else Reason.UNREADABLE_FILE)
    except Exception as error:  # noqa: BLE001  (law 6: a bug costs one file; `steps.settle` stops a run of many)
        refusal = SeriesError(Reason.UNEXPECTED_ERROR, came_from(error))
    if archive:
        reason, detail = (None, "") if refusal is None else (refusal.reason, refusal.detail)
        outcome = Archive(file=file, reason=reason, detail=detail)
    elif refusal is not None:
        outcome = refused(file, refusal)
    if outcome is not None:
        yield outcome


def _members(file: SourceFile, archive: Content, shared: Sharing) -> Iterator[Outcome]:
    for member, content in members(file, archive):
        yield refused(member, content) if isinstance(content, SeriesError) else read_object(member, content, shared)


def is_archive(file: SourceFile) -> bool:
    """Tell by its first bytes whether a file is packed in any way, or an archive; False where it cannot be read."""
    try:
        with opened_file(file) as stream:
            return kind_of(stream.read(HEAD)) is not None
    except (OSError, SeriesError):
        return False
