"""When a file has stopped changing: a watcher takes in only what has been quiet for a while."""

from collections.abc import Iterable

from medflow.domain.series import SourceFile


class Quiet:
    """Remembers when each file was last seen to change, by a monotonic clock that is handed in."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, float]] = {}

    def observe(self, files: Iterable[SourceFile], now: float) -> None:
        """Take note of every file that is there at `now` (seconds); one that is gone is forgotten."""
        seen = {}
        for file in files:
            size, mtime_ns, since = self._seen.get(file.relative, (-1, -1, now))
            if (size, mtime_ns) != (file.size, file.mtime_ns):
                since = now
            seen[file.relative] = (file.size, file.mtime_ns, since)
        self._seen = seen

    def quiet(self, file: SourceFile, seconds: float, now: float) -> bool:
        """Tell whether `file`, as it is now, has been the same for `seconds`."""
        size, mtime_ns, since = self._seen.get(file.relative, (-1, -1, now))
        return (size, mtime_ns) == (file.size, file.mtime_ns) and now - since >= seconds
