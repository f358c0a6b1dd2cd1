"""Settings: every option from the command line, the environment (`FOOTNOTE_...`) or `footnote.toml`, in that order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from store.errors import UsageError

TOML_FILE = "footnote.toml"


class IndexSettings(BaseSettings):
    """What every room needs. Each room adds its own by inheriting; names are flat and shared."""

    model_config = SettingsConfigDict(
        env_prefix="FOOTNOTE_", toml_file=TOML_FILE, extra="ignore", frozen=True, validate_default=True
    )

    index: Path = Field(Path("data/index"), description="the index directory")
    keep_generations: int = Field(3, ge=1, description="snapshots kept when a new one is published")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings' signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then file, then default."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


S = TypeVar("S", bound="IndexSettings")

_MAY_BE_SECRET = re.compile(r"key|token|secret|password|url|fallbacks")


def load_settings(kind: type[S], **given: Any) -> S:
    """Settings of one room; options that are None count as not given. Raises UsageError naming the bad option."""
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"setting {name!r}: {first['msg']}{_found(name, first.get('input'))}.",
            fix=f"Look at the option, FOOTNOTE_{name.upper()} and {TOML_FILE}.",
        ) from error
    except SettingsError as error:  # a list or object in the environment that is no JSON
        named = re.search(r'field "(\w+)"', str(error))
        name = named.group(1) if named else "?"
        raise UsageError(
            f"FOOTNOTE_{name.upper()} cannot be read.", fix="""It takes JSON, a list for example: '["one", "two"]'."""
        ) from error
    except ValueError as error:  # the TOML itself
        raise UsageError(f"{TOML_FILE} cannot be read: {error}") from error


def _found(name: str, value: object) -> str:
    """What was found, unless it is or may hold what nobody else should read: of a list or object any part may."""
    shown = isinstance(value, str | int | float | Path) and not _MAY_BE_SECRET.search(name)
    return f" (found {value!r})" if shown else ""
