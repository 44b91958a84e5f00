"""The database of a collection: tables, transactions and migrations, in SQLite or PostgreSQL.

    with open_database(sqlite_url(folder)) as database:
        with database.writing() as session:
            session.add(Event(...))

There is one writer at a time, in both systems: SQLite begins with BEGIN IMMEDIATE, PostgreSQL takes an
advisory lock. So a transaction that writes never meets half of another one, nor the file that belongs to it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    ForeignKey,
    String,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from dermpack.errors import InputError
from dermpack.storage.files import report_write_errors

DATABASE_FILE = "collection.sqlite3"
# WAL: readers do not wait for the writer. FULL: an answered request survives a power failure.
# secure_delete: what is withdrawn is overwritten with zeros.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000", "secure_delete=ON")
# Each brings existing tables to the next version; a released one is never changed.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = ()
ID_BYTES = 16
SUBMISSION_ID = re.compile(r"[0-9a-f]{24}")  # 96 random bits
WRITER_LOCK = 0x6465726D  # "derm"; the number of the advisory lock in PostgreSQL
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
HINT = "Check the path, or the URL and its server."
# The database itself refuses to change the log.
PROTECT_LOG_SQLITE = """CREATE TRIGGER event_{0} BEFORE {0} ON event
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"""
REFUSE_POSTGRESQL = """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$"""
PROTECT_LOG_POSTGRESQL = """CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
EXECUTE FUNCTION refuse_change()"""


class TableBase(DeclarativeBase):
    """The tables; times are UTC in ISO 8601, and no text is longer than its form allows."""


class Person(TableBase):
    """A reviewer or a curator; the token itself is not stored."""

    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    added: Mapped[str] = mapped_column(String(32))
    revoked: Mapped[str | None] = mapped_column(String(32), default=None)


class SignIn(TableBase):
    """A browser in which a person has signed in; the value of its cookie is not stored."""

    __tablename__ = "sign_in"
    cookie_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    expires: Mapped[str] = mapped_column(String(32))
    person: Mapped[Person] = relationship()


class Consent(TableBase):
    """A text to which people agreed; a version never changes."""

    __tablename__ = "consent"
    version: Mapped[str] = mapped_column(String(40), primary_key=True)
    text: Mapped[str] = mapped_column()


class Submission(TableBase):
    """A picture with what its owner stated; no address, browser or file name."""

    __tablename__ = "submission"
    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    suffix: Mapped[str] = mapped_column(String(5))
    received: Mapped[str] = mapped_column(String(32), index=True)
    consent: Mapped[str] = mapped_column(ForeignKey("consent.version"))
    lesion: Mapped[str] = mapped_column(String(64))
    site: Mapped[str] = mapped_column(String(32))
    age_band: Mapped[str] = mapped_column(String(16))
    skin_type: Mapped[str] = mapped_column(String(4))
    withdrawal_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), index=True)
    label: Mapped[str] = mapped_column(String(200))  # "" until it is accepted
    predicted: Mapped[str] = mapped_column()  # JSON: label → probability
    certainty: Mapped[float] = mapped_column()  # the highest probability
    model_sha256: Mapped[str] = mapped_column(String(64))
    reviews: Mapped[list[Review]] = relationship(
        back_populates="submission", cascade="all, delete-orphan", passive_deletes=True, order_by="Review.id"
    )

    @property
    def file_name(self) -> str:
        """The name of the picture in the folder of pictures."""
        return f"{self.sha256}{self.suffix}"


class Review(TableBase):
    """What one person answered about a submission, before the model's answer was shown."""

    __tablename__ = "review"
    __table_args__ = (UniqueConstraint("submission_id", "person_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    label: Mapped[str] = mapped_column(String(200))
    confidence: Mapped[int] = mapped_column()
    note: Mapped[str] = mapped_column(String(2000))
    at: Mapped[str] = mapped_column(String(32))
    submission: Mapped[Submission] = relationship(back_populates="reviews")
    person: Mapped[Person] = relationship()


class Removed(TableBase):
    """The id of a submission that was withdrawn or expired, for exports that were made before."""

    __tablename__ = "removed"
    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    at: Mapped[str] = mapped_column(String(32))
    file_name: Mapped[str] = mapped_column(String(80))  # "" as soon as the file is deleted


class Event(TableBase):
    """One line of the log, which is append-only: it names no label, note or file."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(32))
    person: Mapped[str] = mapped_column(String(80))  # "" for who submits or withdraws
    submission_id: Mapped[str] = mapped_column(String(24))


class Database:
    """Transactions on an open database; threads can share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(is_writing=True)

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one state of the database; its objects stay readable after it."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session whose changes are stored together when the block ends without an exception."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def read_id(self) -> str:
        """Return the random id by which a folder of pictures recognises its database."""
        with self.reading() as session:
            return str(session.scalar(text("SELECT collection_id FROM schema_version")))

    def forget_deleted(self) -> None:
        """Remove deleted rows from the write-ahead log of SQLite; PostgreSQL does this by itself (VACUUM)."""
        if self.is_sqlite:
            connection = self._engine.raw_connection()  # outside of any transaction
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.close()
            finally:
                connection.close()


def sqlite_url(folder: Path) -> str:
    """Return the URL of the database in the folder."""
    return f"sqlite:///{folder.absolute() / DATABASE_FILE}"


@contextmanager
def open_database(url: str) -> Iterator[Database]:
    """Open a database, create or migrate its tables, and yield it; raise InputError if that is impossible."""
    where = "the database"
    try:
        parsed = make_url(url)
        driver = DRIVERS.get(parsed.drivername, parsed.drivername)
        where = parsed.render_as_string(hide_password=True)
        if driver.partition("+")[0] not in ("sqlite", "postgresql"):
            raise ArgumentError(driver)  # no other system is tested
        is_file = driver == "sqlite" and parsed.database is not None
        if is_file:
            where = str(parsed.database)
            folder = Path(where).parent
            with report_write_errors(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = create_engine(parsed.set(drivername=driver))
    except ArgumentError as error:
        what = "not the URL of a database"
        raise InputError(where, what, "Give postgresql://USER@HOST/NAME.", code="invalid-option") from error
    # Python's driver would begin transactions by itself, too late and of the wrong kind.
    event.listen(engine, "begin", _begin)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        migrate(engine, MIGRATIONS, where=where)
        yield Database(engine)
    except OperationalError as error:
        what = f"cannot be used ({str(error.orig).splitlines()[0]})"
        raise InputError(where, what, HINT, code="cannot-open-storage") from error
    except DatabaseError as error:
        if not is_file or "not a database" not in str(error.orig):
            raise
        what = "not a database of SQLite"
        raise InputError(where, what, "Choose another --data.", code="invalid-format") from error
    finally:
        engine.dispose()


def migrate(engine: Engine, migrations: Sequence[Callable[[Connection], None]], *, where: object) -> None:
    """Create the tables, or bring those of an earlier version up to date; all of it happens or nothing."""
    newest = 1 + len(migrations)
    with engine.execution_options(is_writing=True).begin() as connection:
        if not inspect(connection).has_table("schema_version"):
            _create_tables(connection)
            columns = "version INTEGER NOT NULL, collection_id VARCHAR(32) NOT NULL"
            connection.execute(text(f"CREATE TABLE schema_version ({columns})"))
            row = {"newest": newest, "collection_id": secrets.token_hex(ID_BYTES)}
            connection.execute(text("INSERT INTO schema_version VALUES (:newest, :collection_id)"), row)
            return
        version = connection.scalar(text("SELECT version FROM schema_version"))
        if version > newest:
            what = f"was written by a later version of dermpack (schema {version})"
            raise InputError(where, what, "Update dermpack.", code="unsupported-schema")
        for apply in migrations[version - 1 :]:
            apply(connection)
        connection.execute(text("UPDATE schema_version SET version = :newest"), {"newest": newest})


def now() -> str:
    """Return the time as the tables have it: "2026-11-30T14:05:00+00:00"."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def get_submission(session: Session, submission_id: str) -> Submission | None:
    """Return the submission with the id, which is foreign text: PostgreSQL refuses some characters."""
    return session.get(Submission, submission_id) if SUBMISSION_ID.fullmatch(submission_id) else None


def log(session: Session, kind: str, *, person: str = "", submission_id: str = "") -> None:
    """Append a line to the log."""
    session.add(Event(at=now(), kind=kind, person=person, submission_id=submission_id))


def _create_tables(connection: Connection) -> None:
    TableBase.metadata.create_all(connection)
    if connection.dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            connection.execute(text(PROTECT_LOG_SQLITE.format(change)))
    else:
        connection.execute(text(REFUSE_POSTGRESQL))
        connection.execute(text(PROTECT_LOG_POSTGRESQL))


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # Python would begin transactions itself, and not for CREATE TABLE
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
    elif is_writing:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
