"""How the app's process is started."""

from pathlib import Path

from app.launch import command


def test_the_server_binds_to_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    argv, environment = command(port=9000, runs=tmp_path)
    assert argv[argv.index("--server.address") + 1] == "127.0.0.1"
    assert argv[argv.index("--server.port") + 1] == "9000"
    assert environment["WORKBENCH_APP_RUNS"] == str(tmp_path)
    assert "0.0.0.0" in command(host="0.0.0.0")[0]
