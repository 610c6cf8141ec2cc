"""Settings: what is read, what is refused in one line, and that no password is ever shown."""

from __future__ import annotations

import pickle
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from tracebank.settings import RELATIONAL_FORMS, SERIES_FORMS, Settings, SettingsError, shown_url, without_password


def test_defaults_are_in_the_home(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path)
    assert settings.series == URL.create("chdb", database=str(tmp_path / "series"))
    assert settings.relational == URL.create("sqlite", database=str(tmp_path / "relational.db"))
    assert settings.device == "auto"
    assert settings.incoming == tmp_path / "incoming"


def test_the_home_without_any_setting_is_the_users_data_folder() -> None:
    assert Settings.load().home.name == "tracebank"
    assert Settings.load().home.is_absolute()


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACEBANK_HOME", str(tmp_path))
    monkeypatch.setenv("TRACEBANK_SERIES_URL", "clickhouse://me:secret@host:8124/market")
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", "postgresql+psycopg://me:secret@host/catalogue")
    monkeypatch.setenv("TRACEBANK_DEVICE", "cuda:1")
    monkeypatch.setenv("TRACEBANK_LOCK_TIMEOUT", "2.5")
    monkeypatch.setenv("TRACEBANK_WATCH", "~/in")
    settings = Settings.load()
    assert (settings.series.host, settings.series.port, settings.series.database) == ("host", 8124, "market")
    assert settings.relational.get_backend_name() == "postgresql"
    assert (settings.device, settings.lock_timeout) == ("cuda:1", 2.5)
    assert settings.incoming == Path.home() / "in"


def test_the_env_file_is_honoured_and_a_variable_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRACEBANK_DEVICE=cpu\nTRACEBANK_LOCK_TIMEOUT=7\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    monkeypatch.setenv("TRACEBANK_LOCK_TIMEOUT", "8")
    settings = Settings.load()
    assert (settings.device, settings.lock_timeout) == ("cpu", 8)


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(home=Path("here"))
    assert settings.home == tmp_path / "here"
    assert settings.series.database == str(tmp_path / "here" / "series")


def test_a_home_with_odd_characters(tmp_path: Path) -> None:
    for name in ("with space", "ü?x=1", "a@b:c", "100%25", "semi;colon#hash"):
        settings = Settings.load(home=tmp_path / name)
        assert settings.series.database == str(tmp_path / name / "series")
        assert settings.relational.database == str(tmp_path / name / "relational.db")


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("TRACEBANK_SERIES_URL", "duckdb:///tmp/x", "'duckdb:///tmp/x'"),
        ("TRACEBANK_SERIES_URL", "duckdb://host/x", "'duckdb://host/x'"),
        ("TRACEBANK_SERIES_URL", "timescaledb+psycopg://me:secret@host", "'timescaledb+psycopg://me:***@host'"),
        ("TRACEBANK_SERIES_URL", "nonsense", "'nonsense'"),
        ("TRACEBANK_SERIES_URL", "chdb://relative/path", "'chdb://relative/path'"),
        ("TRACEBANK_SERIES_URL", "chdb:///", "'chdb:///'"),
        ("TRACEBANK_SERIES_URL", "clickhouse://me:secret@host:8123", "'clickhouse://me:***@host:8123'"),
        ("TRACEBANK_SERIES_URL", "clickhouse://me:secret@host:port/db", "'clickhouse://me:***@host:port/db'"),
        ("TRACEBANK_SERIES_URL", "clickhouse://host:99999/db", "'clickhouse://host:99999/db'"),
        ("TRACEBANK_SERIES_URL", "clickhouse://me:se/cr@et@host/", "'clickhouse://me:***@host/'"),
        ("TRACEBANK_SERIES_URL", "http://host?password=secret", "'http://host?password=***'"),
        ("TRACEBANK_RELATIONAL_URL", "mysql://me:secret@host/db", "'mysql://me:***@host/db'"),
        ("TRACEBANK_RELATIONAL_URL", "postgresql://me:secret@host/db", "'postgresql://me:***@host/db'"),
        ("TRACEBANK_RELATIONAL_URL", "postgresql+psycopg:/me:secret@host/db", "***@host/db'"),
        ("TRACEBANK_RELATIONAL_URL", "me:secret@host/db", "'me:***@host/db'"),
        ("TRACEBANK_RELATIONAL_URL", "sqlite://", "'sqlite://'"),
        ("TRACEBANK_RELATIONAL_URL", "sqlite:///relative.db", "'sqlite:///relative.db'"),
        ("TRACEBANK_RELATIONAL_URL", "sqlite://:memory:", "sqlite://"),
        ("TRACEBANK_RELATIONAL_URL", "/a/path.db", "'/a/path.db'"),
    ],
)
def test_a_bad_url_is_one_line_with_the_accepted_forms(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    message = str(caught.value)
    assert message.startswith(f"{variable}: ")
    assert shown in message
    assert "secret" not in message
    assert "se/cr" not in message
    assert "\n" not in message
    for form in (SERIES_FORMS if "SERIES" in variable else RELATIONAL_FORMS).values():
        assert form in message


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("TRACEBANK_DEVICE", "gpu", "'gpu' is not accepted; use auto, cpu, mps, cuda or cuda:N"),
        ("TRACEBANK_DEVICE", "cuda:", "'cuda:' is not accepted"),
        (
            "TRACEBANK_EXECUTOR",
            "dask",
            "'dask' is not accepted; use in_process, multiprocess, docker, k8s, celery or ray",
        ),
        ("TRACEBANK_LOCK_TIMEOUT", "soon", "'soon' is not accepted; "),
        ("TRACEBANK_LOCK_TIMEOUT", "0", "'0' is not accepted; "),
        ("TRACEBANK_LOCK_TIMEOUT", "nan", "'nan' is not accepted; "),
    ],
)
def test_other_bad_values_are_one_line(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{variable}: {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("influxdb://me:secret@host:8086/db", "InfluxDB keeps no arrays"),
        ("influxdb2://me:secret@host:8086/db", "InfluxDB keeps no arrays"),
        ("influxdb3s://host/db", "InfluxDB keeps no arrays"),
        ("kdb://me:secret@host:5000/", "have no text in q"),
    ],
)
def test_an_engine_that_cannot_hold_the_tables_says_why(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        Settings.load(series_url=url)
    assert str(caught.value).startswith("TRACEBANK_SERIES_URL: ")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(form in str(caught.value) for form in SERIES_FORMS.values())


@pytest.mark.parametrize("form", SERIES_FORMS.values())
def test_every_form_that_is_offered_is_accepted(form: str) -> None:
    assert Settings.load(series_url=form.partition(" ")[0].replace("chdb:///", "chdb:////")).series.database


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACEBANK_SERIES_URL", "")
    assert Settings.load(home=tmp_path).series.drivername == "chdb"


# Passwords that cannot be told from other text by accident, around characters that mean something in URLs.
_PASSWORDS = st.builds(
    lambda start, odd, end: f"{start}{odd}{end}",
    st.text("qxzjkvw", min_size=6, max_size=10),
    st.text(string.punctuation + " é漢\t", max_size=8),
    st.text("QXZJKVW", min_size=6, max_size=10),
)


def _hidden(password: str, text: str) -> bool:
    """Neither the password nor one of its recognisable ends is in the text."""
    return password not in text and password[:6] not in text and password[-6:] not in text


@hypothesis_settings(max_examples=150, deadline=None)
@given(password=_PASSWORDS)
def test_a_password_never_shows(password: str) -> None:
    series = URL.create("clickhouse", "me", password, "host", 8123, "db")
    relational = URL.create("postgresql+psycopg", "me", password, "host", 5432, "db")
    settings = Settings.load(
        series_url=series.render_as_string(hide_password=False),
        relational_url=relational.render_as_string(hide_password=False),
    )
    assert settings.series.password == password
    written = relational.render_as_string(hide_password=False)
    for text in (
        repr(settings),
        str(settings),
        repr(settings.series),
        str(settings.model_dump()),
        settings.model_dump_json(),
        shown_url(settings.series_url),
        shown_url(written),
        settings.redact(f"connection to {written} failed: FATAL"),
        settings.redact(f"password {password!r} of me, or {password}, is wrong"),
        settings.redact(f"args ({[password]!r}, {written!r})"),
        without_password(f"got {password} in {written}", relational),
    ):
        assert _hidden(password, text), text


@hypothesis_settings(max_examples=150, deadline=None)
@given(password=_PASSWORDS, scheme=st.sampled_from(["mysql://", "postgres:", "postgresql+psycopg//", "", "chdb://"]))
def test_a_password_in_a_refused_url_never_shows(password: str, scheme: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(relational_url=f"{scheme}me:{password}@host/db")
    assert _hidden(password, str(caught.value))
    assert "host/db" in str(caught.value)


def test_how_a_url_is_written_is_left_to_be_read() -> None:
    text = "use postgresql+psycopg://user:password@host:5432/database"
    assert Settings.load().redact(text) == text


def test_redact_leaves_other_text_alone() -> None:
    settings = Settings.load(relational_url="postgresql+psycopg://me:secret@host/db")
    for text in ("3 rows at 12:30:00", "see https://example.org/a:b", "mail me@example.org", "a = b; c: d @ e"):
        assert settings.redact(text) == text


def test_settings_survive_a_spawned_process() -> None:
    settings = Settings.load(relational_url="postgresql+psycopg://me:secret@host/db")
    again = pickle.loads(pickle.dumps(settings))
    assert again.relational == settings.relational


def test_a_child_process_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://user:p%40ss@host:5432/db"
    parent = Settings.load(home=tmp_path / "home", relational_url=url, lock_timeout=7, watch=tmp_path / "in")
    for name, value in parent.environment().items():
        monkeypatch.setenv(name, value)
    child = Settings.load()
    assert (child.home, child.series, child.relational) == (parent.home, parent.series, parent.relational)
    assert (child.device, child.lock_timeout, child.incoming) == (parent.device, 7.0, tmp_path / "in")
