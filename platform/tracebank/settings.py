"""Where the stores are and which device computes: read from `TRACEBANK_*` variables and `.env`, checked once.

Only what differs between installations belongs here. URLs may hold passwords: they are `SecretStr`, and every text that
is shown goes through `shown_url` or `redact`.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from platformdirs import user_data_path
from pydantic import ByteSize, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

SERIES_FORMS: Final = {
    "chdb": "chdb:///absolute/folder",
    "clickhouse": "clickhouse://user:password@host:8123/database",
    "clickhouses": "clickhouses://user:password@host:8443/database (TLS)",
    "duckdb": "duckdb:////absolute/file.duckdb",
    "postgresql+psycopg": "postgresql+psycopg://user:password@host:5432/database",
    "timescaledb+psycopg": "timescaledb+psycopg://user:password@host:5432/database",
}
"""Engines that may hold the series store, with the form of their URL."""

_CANNOT_HOLD: Final = {
    "influxdb": "InfluxDB keeps no arrays, overwrites rows of one time stamp, and cannot replace a partition at once",
    "kdb": "the bars, the checks and the one SQL have no text in q",
}
"""Engines of the suite that cannot be the series store, and why."""

RELATIONAL_FORMS: Final = {
    "sqlite": "sqlite:////absolute/file.db",
    "postgresql+psycopg": "postgresql+psycopg://user:password@host:5432/database",
}
"""Engines that may hold the relational store, with the form of their URL."""

READER_FORMS: Final = {"postgresql+psycopg": RELATIONAL_FORMS["postgresql+psycopg"]}
"""Form of the URL of who reads a series store on PostgreSQL."""

EXECUTORS: Final = ("in_process", "multiprocess", "docker", "k8s", "celery", "ray")
"""Where the steps of a Dagster run may be computed."""

DEVICE_FORM: Final = "auto, cpu, mps, cuda or cuda:N"
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SCHEME = re.compile(r"[A-Za-z0-9+._-]*:?//+")
_QUERY_SECRET = re.compile(r"(?i)(\w*(?:password|passwd|pwd|secret|token)\w*)=[^&\s]*")
_FORM: Final = "://user:password@"
"""How a URL begins that shows what to write."""
_URL_IN_TEXT = re.compile(r"[A-Za-z0-9+._-]+://\S+|\S*(?:password|passwd|pwd|secret|token)\w*=\S+", re.IGNORECASE)


class SettingsError(ValueError):
    """A setting that cannot be used: one line with the variable, the value (password hidden) and what is accepted."""


def shown_url(url: str | SecretStr) -> str:
    """The URL with its password replaced, fit for logs, metadata and errors. Also for what is no proper URL."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    text = _QUERY_SECRET.sub(r"\1=***", text)
    head, at, host = text.rpartition("@")
    if not at:
        return text
    scheme = _SCHEME.match(head)
    start = scheme.end() if scheme else 0
    user, colon, _ = head[start:].partition(":")
    if colon:
        return f"{head[:start]}{user}:***@{host}"
    # Without "scheme://" what stands before the @ may be the password itself.
    return f"{head if scheme else '***'}@{host}"


def without_password(text: str, url: URL) -> str:
    """`text` without the password of `url`, plain or as it stands in a URL."""
    if not url.password:
        return text
    secret = str(url.password)
    text = text.replace(url.render_as_string(hide_password=False), url.render_as_string())
    forms = {
        secret,
        repr(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret, safe=" +"),
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _accepted(variable: str, value: str, forms: dict[str, str]) -> SettingsError:
    return SettingsError(f"{variable}: {shown_url(value)!r} is not accepted; use {' or '.join(forms.values())}")


def _checked_url(variable: str, value: str, forms: dict[str, str]) -> URL:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise _accepted(variable, value, forms) from None
    if forms is SERIES_FORMS and f"{url.drivername}+psycopg" in forms:  # its driver need not be named: there is one
        url = url.set(drivername=f"{url.drivername}+psycopg")
    engine = url.drivername.rstrip("s123")
    if forms is SERIES_FORMS and engine in _CANNOT_HOLD:
        form = " or ".join(forms.values())
        raise SettingsError(
            f"{variable}: {shown_url(value)!r} cannot hold the artifact tables ({_CANNOT_HOLD[engine]}); use {form}"
        )
    if url.drivername not in forms:
        raise _accepted(variable, value, forms)
    if url.drivername in ("chdb", "duckdb", "sqlite"):
        if url.host or not url.database or not Path(url.database).is_absolute():
            raise _accepted(variable, value, forms)
    elif not url.host or not url.database or (url.port is not None and not 0 < url.port < 65536):
        raise _accepted(variable, value, forms)
    return url


def _query_memory() -> ByteSize:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return ByteSize(min(4 << 30, machine // 4))


class Settings(BaseSettings):
    """The platform's settings. Use `Settings.load()`, which turns every fault into one `SettingsError` line."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEBANK_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
    )

    home: Path = Field(default_factory=lambda: user_data_path("tracebank"))
    """Folder of the embedded stores, the raw files and Dagster's home (`TRACEBANK_HOME`)."""
    series_url: SecretStr = SecretStr("")
    """Time-series store (`TRACEBANK_SERIES_URL`); default `chdb:///<home>/series`."""
    relational_url: SecretStr = SecretStr("")
    """Relational store (`TRACEBANK_RELATIONAL_URL`); default `sqlite:///<home>/relational.db`."""
    reader_url: SecretStr = SecretStr("")
    """As whom queries log in to a series store on PostgreSQL (`TRACEBANK_READER_URL`); default the role that
    `tracebank db upgrade` makes."""
    reader_trusted: bool = False
    """Let queries log in as somebody who may do more than read (`TRACEBANK_READER_TRUSTED`)."""
    device: str = "auto"
    """Where models run (`TRACEBANK_DEVICE`): auto, cpu, mps, cuda or cuda:N."""
    executor: str = "in_process"
    """Where the steps of a Dagster run are computed (`TRACEBANK_EXECUTOR`): one of `EXECUTORS`."""
    lock_timeout: float = Field(default=120.0, gt=0)
    """Seconds to wait for the embedded series store while another process has it open."""
    owner_idle: float = Field(default=300.0, gt=0)
    """Seconds without work after which the owner of an embedded store goes (`TRACEBANK_OWNER_IDLE`)."""
    query_timeout: float = Field(default=300.0, gt=0)
    """Seconds after which a query of a user is stopped (`TRACEBANK_QUERY_TIMEOUT`)."""
    query_memory: ByteSize = Field(default_factory=_query_memory, ge=16 << 20)
    """Memory that the engine may hold for a query (`TRACEBANK_QUERY_MEMORY`, e.g. 2GiB); default a quarter of the
    machine's, at most 4 GiB."""
    watch: Path | None = None
    """Folder that the new-files sensor watches (`TRACEBANK_WATCH`); default `<home>/incoming`."""
    studies: Path | None = None
    """TOML file with reward studies besides those of the ladder (`TRACEBANK_STUDIES`)."""
    explainer_url: str = ""
    """OpenAI-compatible endpoint that explains features (`TRACEBANK_EXPLAINER_URL`); empty: executable ones only."""
    explainer_model: str = ""
    """The endpoint's name of the model that explains (`TRACEBANK_EXPLAINER_MODEL`)."""
    explorer_url: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[^\s/]+(/\S*)?$")
    """Where the explorer is served, for links to its pages (`TRACEBANK_EXPLORER_URL`)."""
    dagster_url: str = Field(default="", pattern=r"^(https?://[^\s/]+(/\S*)?)?$")
    """Where the Dagster UI is served, for links of the explorer to runs (`TRACEBANK_DAGSTER_URL`); empty: no links."""

    @field_validator("home", "watch", "studies")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @cached_property
    def series(self) -> URL:
        """The series store's URL, parsed and checked."""
        value = self.series_url.get_secret_value()
        if not value:
            return URL.create("chdb", database=str(self.home / "series"))
        return _checked_url("TRACEBANK_SERIES_URL", value, SERIES_FORMS)

    @cached_property
    def relational(self) -> URL:
        """The relational store's URL, parsed and checked."""
        value = self.relational_url.get_secret_value()
        if not value:
            return URL.create("sqlite", database=str(self.home / "relational.db"))
        return _checked_url("TRACEBANK_RELATIONAL_URL", value, RELATIONAL_FORMS)

    @cached_property
    def reader(self) -> URL | None:
        """As whom queries log in, parsed and checked; None for the role that is made for them."""
        value = self.reader_url.get_secret_value()
        return _checked_url("TRACEBANK_READER_URL", value, READER_FORMS) if value else None

    @property
    def incoming(self) -> Path:
        """Folder whose new files the sensor picks up."""
        return self.watch or self.home / "incoming"

    @property
    def activations(self) -> Path:
        """Folder of the shards of activations, which `series.activations` reads in place."""
        return self.home / "activations"

    def environment(self) -> dict[str, str]:
        """Variables that give a child process these same settings, whatever its folder's `.env` says."""
        return {
            "TRACEBANK_HOME": str(self.home),
            "TRACEBANK_SERIES_URL": self.series_url.get_secret_value(),
            "TRACEBANK_RELATIONAL_URL": self.relational_url.get_secret_value(),
            "TRACEBANK_READER_URL": self.reader_url.get_secret_value(),
            "TRACEBANK_READER_TRUSTED": str(self.reader_trusted).lower(),
            "TRACEBANK_DEVICE": self.device,
            "TRACEBANK_EXECUTOR": self.executor,
            "TRACEBANK_LOCK_TIMEOUT": str(self.lock_timeout),
            "TRACEBANK_OWNER_IDLE": str(self.owner_idle),
            "TRACEBANK_QUERY_TIMEOUT": str(self.query_timeout),
            "TRACEBANK_QUERY_MEMORY": str(int(self.query_memory)),
            "TRACEBANK_WATCH": str(self.incoming),
            "TRACEBANK_STUDIES": str(self.studies or ""),
            "TRACEBANK_EXPLAINER_URL": self.explainer_url,
            "TRACEBANK_EXPLAINER_MODEL": self.explainer_model,
            "TRACEBANK_EXPLORER_URL": self.explorer_url,
            "TRACEBANK_DAGSTER_URL": self.dagster_url,
        }

    def redact(self, text: str) -> str:
        """`text` without the passwords of the two stores and the reader, however they came into it."""
        for url in filter(None, (self.series, self.relational, self.reader)):
            text = without_password(text, url)
        return _URL_IN_TEXT.sub(
            lambda found: found.group() if _FORM in found.group() else shown_url(found.group()), text
        )

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Read the environment and check everything that can be checked without connecting.

        Raises:
            SettingsError: a value is not accepted; the message names the variable, the value and the accepted forms.
        """
        try:
            settings = cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = "TRACEBANK_" + "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsError(f"{name}: {shown_url(str(first['input']))!r} is not accepted; {first['msg']}") from None
        _ = settings.series, settings.relational, settings.reader
        if not _DEVICE.fullmatch(settings.device):
            raise SettingsError(f"TRACEBANK_DEVICE: {settings.device!r} is not accepted; use {DEVICE_FORM}")
        if settings.executor not in EXECUTORS:
            allowed = f"{', '.join(EXECUTORS[:-1])} or {EXECUTORS[-1]}"
            raise SettingsError(f"TRACEBANK_EXECUTOR: {settings.executor!r} is not accepted; use {allowed}")
        return settings
