"""The settings of a server: its address, its limits, and whether it collects pictures."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from dermpack.errors import InputError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
PICTURE_BYTES = 16 << 20  # of an uploaded picture
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSettings:
    """Where submissions are stored, and for how long."""

    data: Path  # the folder of the pictures and, unless `database` is given, of the database
    database: str | None = None  # a URL of SQLAlchemy
    keep_days: int | None = None  # None: until they are withdrawn
    consent: Path | None = None  # the text that people agree to; None: the one of dermpack
    submissions_per_hour: int | None = 10  # of one address; None: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The options of `dermpack serve`."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT  # 0: any free port
    public_url: str | None = None  # https://…, where a proxy terminates TLS
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")  # whose X-Forwarded-For is believed, with a public URL
    predictions_per_minute: int | None = None  # of one address; None: no limit
    collection: CollectionSettings | None = None  # None: nothing is stored

    def __post_init__(self) -> None:
        if self.public_url is None:
            if not is_loopback(self.host):
                what = "not a loopback address: other machines would send pictures and tokens unencrypted"
                hint = (
                    "Add --public-url https://…, the address of a proxy that terminates TLS, or omit --host."
                )
                raise InputError(f"--host {self.host}", what, hint, code="unsafe-address")
            return
        parts = urlsplit(self.public_url)
        rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
        if parts.scheme != "https" or not parts.hostname or any(rest):
            what = "must be https:// and the name of a host"  # links of the pages begin at its root
            hint = "Give for example --public-url https://skin.example.org."
            raise InputError(f"--public-url {self.public_url}", what, hint, code="invalid-option")

    @property
    def is_public(self) -> bool:
        """Whether people reach the server through a proxy with TLS."""
        return self.public_url is not None

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """The values of the Host header without a port: any other one may come from DNS rebinding."""
        public = urlsplit(self.public_url or "").hostname
        return (*LOOPBACK_NAMES, *([public] if public else []))


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can connect to the host."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
