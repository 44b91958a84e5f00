"""An open collection: its database, its pictures, its consent, and the removal of what has expired.

with open_collection(CollectionSettings(data=folder)) as collection:
    collection.database, collection.pictures
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError

from dermpack.contract import Contract
from dermpack.errors import DermpackError, InputError
from dermpack.serving.collection.database import DATABASE_FILE, Database, open_database, sqlite_url
from dermpack.serving.collection.picture_folder import FOLDER, PictureFolder, finish_removals
from dermpack.serving.collection.reviews import UNUSABLE
from dermpack.serving.collection.submissions import (
    DEFAULT_CONSENT,
    ConsentText,
    read_consent,
    remove_expired,
    store_consent,
)
from dermpack.serving.settings import CollectionSettings
from dermpack.storage.files import is_directory, path_exists, read_bytes, report_write_errors, write_text

MARKER_FILE, MARKER_BYTES = "collection.id", 1 << 10  # the id of the database
OTHER_HINT = "Give the --database, or the --data, that the server uses."
EXPORT_PREFIX = ".export-"  # of a folder in which a server prepares a download
EXPIRY_SECONDS = 3600.0  # between two searches for what has expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What the routes and the commands of a collection work on."""

    database: Database
    pictures: PictureFolder
    consent: ConsentText
    labels: tuple[str, ...] = ()  # of the model; none for the commands that need no model
    meanings: Mapping[str, str] = field(default_factory=dict)  # label → what it means, for people
    chance: random.Random = field(default_factory=random.SystemRandom)  # mixes the queue


@contextmanager
def open_store(data: Path, url: str | None = None, *, is_new: bool = False) -> Iterator[Collection]:
    """Open the database and the pictures in a folder for a command that needs no model."""
    if not is_new and not is_directory(data / FOLDER):
        what, hint = "not a collection", 'Give the --data of "dermpack serve --collect".'
        raise InputError(data, what, hint, code="collection-not-found")
    pictures = PictureFolder(data)
    if url is None:
        # Before SQLite creates it: its write-ahead log gets the same permissions.
        with report_write_errors(data):
            (data / DATABASE_FILE).touch()
            (data / DATABASE_FILE).chmod(0o600)
    with open_database(url or sqlite_url(data)) as database:
        _bind(data, database)
        yield Collection(database=database, pictures=pictures, consent=read_consent())


def _bind(data: Path, database: Database) -> None:
    """Check that the pictures belong to the database: with another one, all of them would be left over."""
    marker, database_id = data / MARKER_FILE, database.read_id()
    if not path_exists(marker):
        write_text(marker, f"{database_id}\n")
    elif (
        read_bytes(marker, most=MARKER_BYTES, hint=OTHER_HINT).decode("ascii", "replace").strip()
        != database_id
    ):
        what = "its pictures belong to another database"
        raise InputError(data, what, OTHER_HINT, code="collection-mismatch")


@contextmanager
def open_collection(settings: CollectionSettings, contract: Contract) -> Iterator[Collection]:
    """Open the collection of a server; what has expired is removed now, and then every hour."""
    if UNUSABLE in contract.labels:
        what = "a label of the model, which reviewers could not tell from an unusable picture"
        raise InputError(UNUSABLE, what, "Rename the label.", code="reserved-label")
    consent = read_consent(settings.consent or DEFAULT_CONSENT)
    with open_store(settings.data, settings.database, is_new=True) as store:
        store_consent(store.database, consent)
        finish_removals(store.database, store.pictures)
        for left in settings.data.glob(f"{EXPORT_PREFIX}*"):  # by a server that was killed
            shutil.rmtree(left, ignore_errors=True)
        collection = Collection(
            database=store.database,
            pictures=store.pictures,
            consent=consent,
            labels=contract.labels,
            meanings=contract.meanings,
        )
        if settings.keep_days is None:
            yield collection
            return
        remove_expired(store.database, store.pictures, keep_days=settings.keep_days)
        stop = Event()
        remover = Thread(target=_remove_repeatedly, args=(collection, settings.keep_days, stop), daemon=True)
        remover.start()
        try:
            yield collection
        finally:
            stop.set()
            remover.join()


def _remove_repeatedly(collection: Collection, keep_days: int, stop: Event) -> None:
    while not stop.wait(EXPIRY_SECONDS):
        try:
            remove_expired(collection.database, collection.pictures, keep_days=keep_days)
        except (DermpackError, SQLAlchemyError):  # a full disk, a database that restarts: try again later
            continue
