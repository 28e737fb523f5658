"""The history's file: it is opened, locked, checked for damage and set aside here."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import check_regular, open_regular, resolve
from pytest_synctool.errors import HistoryError, TrustError

NAME: Final = "history.sqlite"
VERSION: Final = 4

_APPLICATION: Final = 0x73796E63
_PATIENCE: Final = 60.0  # seconds for others at work on it; one that records is done in about one
_PATIENCE_WITH_READERS: Final = 5.0  # seconds for those that SQLite knows; the lock has excluded other recorders
_PAUSE: Final = 0.02
_WITH: Final = ("", "-wal", "-shm")  # of what the file consists
_OPENED: Final = (*_WITH, "-journal")  # by SQLite
_MODE: Final = 0o600  # whoever can open the file or its lock can hold up a recorder
_CODE: Final = 0xFF  # the part of an error code that says what kind it is
# What SQLite's errors about what a file is on most likely come from; for an error of a disk it has no better word.
_PLAIN_NUMBERS: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_SPARE: Final = 200  # pages of 4 KB that are kept for the next run

# An entry of a set that has no result was OK. `last` is the last run that has used a row; `seen` is when that was.
_SCHEMA: Final = (
    "CREATE TABLE run (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, started INTEGER NOT NULL,"
    " ended INTEGER NOT NULL, mode TEXT NOT NULL, user TEXT NOT NULL, host TEXT NOT NULL, complete INTEGER NOT NULL,"
    " selected INTEGER NOT NULL, in_sync INTEGER NOT NULL, drifted INTEGER NOT NULL, fixed INTEGER NOT NULL,"
    " errors INTEGER NOT NULL, waived INTEGER NOT NULL, entries INTEGER NOT NULL)",
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, test TEXT NOT NULL, name TEXT NOT NULL, last INTEGER NOT NULL,"
    " seen INTEGER NOT NULL, UNIQUE (test, name))",
    "CREATE TABLE wanted (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, signature TEXT NOT NULL,"
    " last INTEGER NOT NULL, UNIQUE (entry, signature))",
    "CREATE TABLE entry_set (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, members TEXT NOT NULL,"
    " last INTEGER NOT NULL)",
    "CREATE TABLE node (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, known INTEGER, last INTEGER NOT NULL,"
    " seen INTEGER NOT NULL)",
    "CREATE TABLE state (node INTEGER NOT NULL, entry INTEGER NOT NULL, error INTEGER NOT NULL, since INTEGER NOT NULL,"
    " cause TEXT NOT NULL, PRIMARY KEY (node, entry, error)) WITHOUT ROWID",
    "CREATE TABLE looked (run INTEGER NOT NULL, node INTEGER NOT NULL, entry_set INTEGER, status TEXT NOT NULL,"
    " error TEXT, PRIMARY KEY (run, node)) WITHOUT ROWID",
    "CREATE TABLE finding (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, status TEXT NOT NULL,"
    " message TEXT NOT NULL, changes TEXT NOT NULL, source TEXT NOT NULL, waiver TEXT NOT NULL, last INTEGER NOT NULL)",
    "CREATE TABLE result (run INTEGER NOT NULL, entry INTEGER NOT NULL, node INTEGER NOT NULL,"
    " finding INTEGER NOT NULL, since INTEGER NOT NULL, cause TEXT NOT NULL, known INTEGER NOT NULL,"
    " PRIMARY KEY (run, entry, node)) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
)
# The columns that each version has added to the one before. They are unknown of what an earlier version has recorded.
_UPGRADES: Final = {
    2: (
        "ALTER TABLE run ADD COLUMN whole INTEGER",
        "ALTER TABLE run ADD COLUMN revision TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE run ADD COLUMN dirty INTEGER NOT NULL DEFAULT 0",
    ),
    3: (
        "ALTER TABLE result ADD COLUMN modified INTEGER",
        "ALTER TABLE result ADD COLUMN changed INTEGER",
    ),
    4: ("ALTER TABLE run ADD COLUMN unread INTEGER NOT NULL DEFAULT 0",),
}


class DamageError(Exception):
    """The file's contents are not those of a history."""


def check_files(path: Path, trust: Trust) -> None:
    """Check that what SQLite opens are regular files that only trusted accounts can change. Raises OSError."""
    for suffix in _OPENED:
        check_regular(f"{path}{suffix}", trust)


@contextmanager
def locked(path: Path, trust: Trust) -> Iterator[None]:
    """Hold the lock that excludes other recorders.

    Raises OSError, and TimeoutError if another recorder does not end.
    """
    lock = _lock(path)
    status = check_regular(lock, trust)
    if status is not None and status.st_mode & ~_MODE & 0o777:  # others may hold it
        lock.unlink(missing_ok=True)
    descriptor = open_regular(lock, os.O_RDONLY | os.O_CREAT, trust, _MODE)
    try:
        limit = time.monotonic() + _PATIENCE
        while not _flock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > limit:
                raise TimeoutError(errno.ETIMEDOUT, f"another run has been at work on it for {_PATIENCE:.0f} seconds")
            time.sleep(_PAUSE)  # flock() itself would wait without a limit
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def writing(path: Path, trust: Trust) -> Iterator[sqlite3.Connection]:
    """Open a transaction on the file; create the file if it does not exist. Call this under locked().

    Raises OSError, sqlite3.Error and DamageError. Raises HistoryError for a file of a newer version or of another
    program, which stays unchanged.
    """
    check_files(path, trust)
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT, trust, _MODE))  # SQLite's other files take over its mode
    with closing(sqlite3.connect(path, timeout=_PATIENCE_WITH_READERS, isolation_level=None)) as db:
        if not path.stat().st_size:  # to say it later would be too late, or write to what is left alone
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        is_new = _is_new(db, path)
        if not is_new and [row[0] for row in db.execute("PRAGMA quick_check(1)")] != ["ok"]:
            raise DamageError
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        if is_new:
            for statement in _SCHEMA:
                db.execute(statement)
        _upgrade(db)
        yield db
        db.execute("COMMIT")
        with suppress(sqlite3.Error):  # all is in the file already
            free = int(db.execute("PRAGMA freelist_count").fetchone()[0])
            if free > max(_SPARE, int(db.execute("PRAGMA page_count").fetchone()[0]) // 2):
                db.executescript("PRAGMA incremental_vacuum")  # execute() would free a single page


def _upgrade(db: sqlite3.Connection) -> None:
    before = version_of(db)
    for version, statements in _UPGRADES.items():
        if before < version:
            for statement in (*statements, f"PRAGMA user_version = {version}"):
                db.execute(statement)


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 for those of an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _is_new(db: sqlite3.Connection, path: Path) -> bool:
    """Return True for an empty file. Raises HistoryError unless it is empty or a history of a version until this."""
    application, version = int(db.execute("PRAGMA application_id").fetchone()[0]), version_of(db)
    if application == _APPLICATION and 1 <= version <= VERSION:
        return False
    if application == _APPLICATION and version > VERSION:
        raise HistoryError(
            f"{path} was written by a newer version of synctool (format {version}, this one reads {VERSION})"
        )
    if application or version or db.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise HistoryError(f"{path} is a database of something else, not a history of synctool")
    return True


def is_damage(error: Exception) -> bool:
    """Return True if an error means a damaged file, rather than its disk or another process at work on it."""
    return isinstance(error, DamageError) or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & _CODE


def set_aside(path: Path) -> Path:
    """Rename a damaged file and its companions; return the new name. Raises OSError."""
    base = f"{path.name}.damaged-{datetime.now().astimezone():%Y%m%dT%H%M%S}"
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, 1_000_000))
    aside = next(new for name in names if not (new := path.with_name(name)).exists())
    for suffix in reversed(_WITH):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def in_words(error: Exception, path: Path) -> str:
    """Return the reason, for people, why the history was not written."""
    if isinstance(error, OSError):
        return str(error.strerror or error)
    number = _PLAIN_NUMBERS.get(_code(error))
    with suppress(OSError):
        place = os.statvfs(path.parent)
        if number and place.f_flag & os.ST_RDONLY:
            number = errno.EROFS
        elif number and place.f_bavail == 0:
            number = errno.ENOSPC
    return os.strerror(number) if number else str(error)


@contextmanager
def reading(path: Path, trust: Trust) -> Iterator[sqlite3.Connection]:
    """Open the file for reading; neither it nor its directory is changed.

    Close it soon: recorders may have to wait. Raises HistoryError if there is no file, if accounts that are not trusted
    can change it, if it is damaged, or if this version cannot read it.
    """
    try:
        resolve(path.parent, trust)
        check_files(path, trust)
        if not path.stat().st_size:
            raise HistoryError(f"{path} is empty: no run has been recorded in it")
        with _open(path) as db:
            if _is_new(db, path):
                raise HistoryError(f"{path} is empty: no run has been recorded in it")
            yield db
    except TrustError as error:
        raise HistoryError(str(error)) from error
    except FileNotFoundError:
        raise HistoryError(f"{path} is not there: no run has been recorded in this directory") from None
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from error
    except (sqlite3.Error, DamageError) as error:
        if is_damage(error):
            raise HistoryError(f"{path} is damaged: the next run will set it aside and begin anew") from error
        raise HistoryError(f"{path} cannot be read: {error}") from error


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    with _shared(path) as alone:
        if alone and not _has_journal(path):
            with closing(_connect(path, "immutable=1")) as db:
                yield db
            return
        with closing(_connect(path, "mode=ro")) as db:
            try:
                db.execute("SELECT 1 FROM sqlite_schema").fetchone()
            except sqlite3.OperationalError as error:
                if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
            else:
                yield db
                return
    # A run was killed, and this directory cannot take the file that reading what it has left would need.
    with TemporaryDirectory(prefix="synctool-history-") as directory:
        shutil.copyfile(path, f"{directory}/{NAME}")
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}-wal", f"{directory}/{NAME}-wal")
        with closing(_connect(Path(directory, NAME), "mode=rw")) as db:
            yield db


@contextmanager
def _shared(path: Path) -> Iterator[bool]:
    """Try to exclude recorders; return True on success. Without a lock file nobody has ever recorded.

    Only the user who records can open the lock.
    """
    try:
        descriptor = os.open(_lock(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        yield True
        return
    except PermissionError:
        yield False
        return
    try:
        yield _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _has_journal(path: Path) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_PATIENCE, isolation_level=None)
