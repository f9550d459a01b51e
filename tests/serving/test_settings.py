from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.serving.settings import read_settings


@pytest.mark.parametrize("environ", [{}, {"BAYESLAT_LOG_DIR": " "}, {"BAYESLAT_LOG_MAX_MB": "1"}])
def test_nothing_is_logged_unless_a_folder_is_named(environ: dict[str, str]) -> None:
    assert read_settings(environ) == (None, ())


def test_sizes_are_taken_in_megabytes() -> None:
    environ = {
        "BAYESLAT_LOG_DIR": "logs",
        "BAYESLAT_LOG_MAX_MB": "2",
        "BAYESLAT_LOG_MAX_FILES": "3",
    }
    settings, problems = read_settings(environ)
    assert settings is not None
    assert (settings.folder, settings.max_file_bytes, settings.max_files) == (
        *(Path("logs"), 2 * 2**20),
        3,
    )
    assert problems == ()


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_a_value_that_cannot_be_read_is_named_and_replaced(text: str) -> None:
    settings, problems = read_settings({"BAYESLAT_LOG_DIR": "logs", "BAYESLAT_LOG_MAX_MB": text})
    assert settings is not None
    assert settings.max_file_bytes == 64 * 2**20
    assert len(problems) == 1
    assert "BAYESLAT_LOG_MAX_MB" in problems[0]
    assert repr(text) in problems[0]
