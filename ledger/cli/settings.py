"""What every command is told: by a flag, a variable, ``pledger.toml``, or else the default."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ledger.cli.commands import variable_of
from ledger.connect import DEFAULT_STORE
from ledger.errors import InvalidInput

__all__ = ["CONFIG_FILE", "Settings"]

CONFIG_FILE: Final = "pledger.toml"


class Settings(BaseModel):
    """The settings of one invocation.

    Attributes:
        output: The form asked for; ``None`` for the command's own default.
        verbose: How much is told on stderr; from 2 on, errors come with a traceback.
        tz: The zone times are shown and read in.
        patience: For how many seconds to try when the store is away.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = DEFAULT_STORE
    portfolio: str = "main"
    output: Literal["table", "json", "csv", "short", "raw"] | None = None
    quiet: bool = False
    verbose: int = Field(default=0, ge=0)
    color: Literal["auto", "always", "never"] = "auto"
    tz: str = "UTC"
    patience: float = Field(default=5.0, gt=0, le=3600)

    @field_validator("tz")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("write a time zone such as Europe/Berlin") from None
        return name

    @property
    def zone(self) -> tzinfo:
        """The zone that ``tz`` names."""
        return UTC if self.tz == "UTC" else ZoneInfo(self.tz)

    @classmethod
    def load(cls, flags: Mapping[str, Any], environ: Mapping[str, str], directory: Path) -> Self:
        """Bring together what flags, variables and the file in ``directory`` say, in this order.

        Raises:
            InvalidInput: A value is not valid, or the file is not; names where it stands.
        """
        file = directory / CONFIG_FILE
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for name, value in _in_file(file).items():
            values[name], origins[name] = value, f"{name} in {CONFIG_FILE}"
        for name in cls.model_fields:
            if environ.get(variable_of(name)):
                values[name], origins[name] = environ[variable_of(name)], variable_of(name)
        for name, value in flags.items():
            values[name], origins[name] = value, f"--{name}"
        try:
            return cls(**values)
        except ValidationError as error:
            raise _refusal(error, origins) from None


def _in_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(
            f"{CONFIG_FILE} cannot be read: {error}",
            hint='write lines such as store = "redis://localhost"',
        ) from None


def _refusal(error: ValidationError, origins: Mapping[str, str]) -> InvalidInput:
    found = error.errors()[0]
    name = str(found["loc"][0])
    origin = origins.get(name, name)
    if found["type"] == "extra_forbidden":
        return InvalidInput(
            f"{origin}: there is no such setting",
            hint=f"known settings: {', '.join(sorted(Settings.model_fields))}",
        )
    rule = str(found["msg"]).removeprefix("Value error, ").partition(", ")[0]
    return InvalidInput(
        f"{origin}: {found['input']!r:.80} is not valid", hint=f"{rule[:1].lower()}{rule[1:]}"
    )
