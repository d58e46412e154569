"""Pinning the base image, as far as no registry is asked."""

from pathlib import Path

import pytest

from supply import base_image


def test_help_writes_no_dockerfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Dockerfile").write_text("ARG BASE=localhost/python:3\n")

    with pytest.raises(SystemExit) as end:
        base_image.main(["--help"])

    assert end.value.code == 0
    assert "Pin the Dockerfile" in capsys.readouterr().out
    assert Path("Dockerfile").read_text() == "ARG BASE=localhost/python:3\n"
