"""What a dead run leaves behind, seen from outside: temporaries, unfinished uploads, what the state file says."""

import os
import re
import shutil
import sqlite3
import tempfile

TEMPORARY = re.compile(r"^\..+\.sluice-[0-9a-f]{16}\.part$")


def temporaries(directory):
    """Sluice's temporary files below `directory`, as paths."""
    return sorted(os.path.join(base, name) for base, _, names in os.walk(directory)
                  for name in names if TEMPORARY.match(name))


def recorded_sessions(sluice):
    """The sink sessions of unfinished transfers, as the state file has them.

    Read from a copy: SQLite rolls an interrupted transaction back when it opens a file, and that is Sluice's to do.
    """
    with tempfile.TemporaryDirectory() as copy:
        for name in ("state.db", "state.db-journal"):
            path = os.path.join(sluice.state_home, "sluice", name)
            if os.path.exists(path):
                shutil.copy(path, copy)
        database = sqlite3.connect(os.path.join(copy, "state.db"))
        try:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal'").fetchone():
                return []
            rows = database.execute("SELECT session FROM journal JOIN transfer ON transfer.id = journal.transfer "
                                    "WHERE session IS NOT NULL AND finished_at IS NULL").fetchall()
        finally:
            database.close()
    return [bytes(session).decode("utf-8", "surrogateescape") for session, in rows]


def recorded_uploads(sluice):
    """Upload ids that the state file knows of: the third line of an S3 session's record."""
    return {lines[2] for session in recorded_sessions(sluice)
            if len(lines := session.split("\n")) == 3 and lines[2]}


def cleaned(result):
    """The places that a `cleanup --json` named."""
    return [event["location"] for event in result.events if event["event"] in ("removed", "would_remove")]
