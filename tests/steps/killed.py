"""A process that is killed while it changes a key: once before each change to the key files, on a copy each time.

`python killed.py VERB BASE OUT` copies the house BASE to OUT/0, OUT/1 ..., until one lives through it.
"""

import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from medflow.steps.code import code_version
from medflow.steps.house import KeyFiles, Outside, Places, open_house
from medflow.steps.keys import new_epoch, rotate
from medflow.steps.purpose import stated

CHANGES = {"os.link", "os.rename", "os.remove"}


def places_in(root: Path) -> Places:
    """Name a house that lies in one folder."""
    keys = root / "keys"
    return Places(
        data=root,
        main_url=f"sqlite:///{root}/medflow.db",
        vault_url=f"sqlite:///{root}/vault.db",
        keys=KeyFiles(pseudonym=keys / "pseudonym.key", vault=keys / "vault.key", audit=keys / "audit.key"),
    )


def change_key(verb: str, root: Path, lives: int) -> None:
    """Do it, and die before the change to the keys' folder that comes after `lives` others."""
    chance = count()
    outside = Outside(
        actor="victim", threads=1, now=lambda: datetime(2026, 1, 2, tzinfo=UTC), token=lambda: f"victim{next(chance)}"
    )
    house = open_house(places_in(root), outside)
    changes = count()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        changing = event in CHANGES or (event == "open" and int(str(arguments[2])) & os.O_CREAT)
        if changing and str(root / "keys") in str(arguments[0]) and next(changes) == lives:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    if verb == "rotate":
        rotate(house)
    else:
        new_epoch(house, stated("the key may be known to others"))


def main(verb: str, base: Path, out: Path) -> None:
    """Kill and kill again."""
    code_version()  # which takes its time, and is the same for every child
    for lives in count():
        root = out / str(lives)
        shutil.copytree(base, root)
        child = os.fork()
        if child == 0:
            change_key(verb, root, lives)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
