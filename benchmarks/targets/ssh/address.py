"""Say where a machine is: [user@]host[:port], believing that a stranger wrote it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from dermpack.errors import InputError

USER, NAME, IPV6 = (
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    r"\[[0-9A-Fa-f:.]+(?:%\w+)?\]",
)
ADDRESS = re.compile(rf"(?:(?P<user>{USER})@)?(?P<host>{NAME}|{IPV6})(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII)
MOST_PORT = 65535
HOME = "~/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A machine that ssh reaches."""

    text: str  # as it was given
    destination: str  # user@host, or the host's name in ~/.ssh/config
    port: int | None

    @property
    def name(self) -> str:
        return f"ssh:{self.text}"


def read_address(text: str) -> Address:
    """`pi@raspberry:2222`; anything that ssh or a shell could take for something else is refused."""
    match = ADDRESS.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if not match or port == 0 or (port or 0) > MOST_PORT:
        hint = "Write ssh:user@host or ssh:user@host:port."
        raise InputError(f"ssh:{text}", "not a valid address", hint, code="invalid-option")
    host = match["host"].strip("[]")
    destination = f"{match['user']}@{host}" if match["user"] else host
    return Address(text=text, destination=destination, port=port)


def quoted_python(python: str) -> str:
    """The interpreter, for a remote shell; the home there may be written ~/, which is not quoted."""
    if not python or python.startswith("-") or not python.isprintable():
        hint = "Give the path of a Python interpreter on the remote machine."
        raise InputError(f"--python {python!r}", "not the path of a program", hint, code="invalid-option")
    if python.startswith(HOME):
        return HOME + shlex.quote(python.removeprefix(HOME))
    return shlex.quote(python)
