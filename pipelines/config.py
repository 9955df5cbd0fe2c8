"""Settings and their sources: flag > environment > recsys.toml > kind of the data > default."""

import dataclasses
import difflib
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recsys.data.formats import InputFormat
from recsys.data.splits import SplitConfig
from recsys.errors import ConfigError
from recsys.index.kinds import IndexKind
from recsys.metrics import DEFAULT_METRICS
from recsys.neighbours.config import NeighboursConfig
from recsys.settings import check_range
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.verse.config import VerseConfig

from .presets import FOR_POEMS
from .setting_types import typed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class IngestSettings:
    """How files are read and which rows are kept; see `recsys ingest --help`."""

    input_format: InputFormat | None = None
    columns: tuple[str, ...] | None = None
    user_column: str | None = None
    item_column: str | None = None
    rating_column: str | None = None
    weight_column: str | None = None
    timestamp_column: str | None = None
    items_id_column: str | None = None
    items_title_column: str | None = None
    skip_bad_rows: int = 0
    min_rating: float | None = None
    min_user_interactions: int = 1
    min_item_interactions: int = 1
    k_core: bool = False
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class ModelSettings:
    """What is trained: both paths, or one alone; `kind` auto is fused, and vae for gaussian.

    `search` looks for the item-item path's values on the validation users. `label` is a column
    of the users' or items' table whose values the VAE learns to tell, those of fewer than
    `fewest_bearers` put aside.
    """

    kind: Literal["auto", "fused", "vae", "neighbours"] = "auto"
    search: bool = True
    label: str | None = None
    label_on: Literal["auto", "users", "items"] = "auto"
    fewest_bearers: int = 10

    def __post_init__(self) -> None:
        _at_least_one("model.fewest_bearers", self.fewest_bearers)
        if self.kind == "neighbours" and self.label is not None:
            raise ConfigError(
                "model.kind is 'neighbours', which has no code to tell labels by; leave --label "
                "out, or use model.kind=vae"
            )


@dataclass(frozen=True)
class IndexSettings:
    """How items are searched, and what share of the exact best must be found."""

    kind: IndexKind = "auto"
    recall: float = 0.99

    def __post_init__(self) -> None:
        check_range("index.recall", self.recall, above=0, at_most=1)


@dataclass(frozen=True)
class MachineSettings:
    """What the work runs on; `threads` None is every core."""

    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"machine.device is {self.device!r}, expected auto, cpu or cuda")
        if self.threads is not None:
            _at_least_one("machine.threads", self.threads)


@dataclass(frozen=True)
class RecommendSettings:
    """What recommend and similar give when not told otherwise."""

    k: int = 10
    exclude_seen: bool = True

    def __post_init__(self) -> None:
        _at_least_one("recommend.k", self.k)


@dataclass(frozen=True)
class ScoreSettings:
    """Everybody's top k: its length, and the users of one file."""

    k: int = 100
    block_size: int = 4096

    def __post_init__(self) -> None:
        _at_least_one("score.k", self.k)
        _at_least_one("score.block_size", self.block_size)


@dataclass(frozen=True)
class EvaluateSettings:
    """What is measured; `ease` auto fits the baseline up to 15,000 items."""

    metrics: tuple[str, ...] = tuple(map(str, DEFAULT_METRICS))
    ease: Literal["auto", "yes", "no"] = "auto"

    def __post_init__(self) -> None:
        if self.ease not in ("auto", "yes", "no"):
            raise ConfigError(f"evaluate.ease is {self.ease!r}, expected auto, yes or no")


def _at_least_one(key: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{key} is {value}, expected at least 1")


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, by section."""

    ingest: IngestSettings = field(default_factory=IngestSettings)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelSettings = field(default_factory=ModelSettings)
    vae: VAEConfig = field(default_factory=VAEConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    neighbours: NeighboursConfig = field(default_factory=NeighboursConfig)
    verse: VerseConfig = field(default_factory=VerseConfig)
    index: IndexSettings = field(default_factory=IndexSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
    recommend: RecommendSettings = field(default_factory=RecommendSettings)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)

    def __post_init__(self) -> None:
        if self.model.kind in ("fused", "neighbours") and self.vae.likelihood == "gaussian":
            raise ConfigError(
                f"model.kind is {self.model.kind!r}, but the gaussian likelihood scores in "
                "ratings, which the item-item path does not; use model.kind=vae"
            )

    @property
    def model_kind(self) -> Literal["fused", "vae", "neighbours"]:
        """What `model.kind` comes to."""
        if self.model.kind != "auto":
            return self.model.kind
        return "vae" if self.vae.likelihood == "gaussian" else "fused"


@dataclass(frozen=True)
class Setting:
    """One key with its value and where that came from."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True)
class Resolved:
    """Settings, and the source of each key."""

    settings: Settings
    sources: Mapping[str, str]

    def listing(self) -> list[Setting]:
        """Every key in the order of the sections."""
        flat = flatten(self.settings)
        return [Setting(key, value, self.sources[key]) for key, value in flat.items()]

    def explicit(self) -> dict[str, Any]:
        """The keys that a flag set, with their values."""
        return {each.key: each.value for each in self.listing() if each.source == "flag"}


def flatten(settings: Settings) -> dict[str, Any]:
    """Lay settings out as section.key -> value."""
    return {
        f"{section.name}.{one.name}": getattr(getattr(settings, section.name), one.name)
        for section in dataclasses.fields(Settings)
        for one in dataclasses.fields(getattr(settings, section.name))
    }


def from_flat(values: Mapping[str, Any]) -> Settings:
    """Rebuild settings that `flatten` laid out and JSON carried.

    Raises
    ------
    ConfigError
        A key of another version of recsys.
    """
    for key in values:
        if key not in _KEYS:
            raise ConfigError(
                f"the run was begun by a version of recsys that knew {key}; train again without "
                "--resume"
            )
    return _build(
        {key: typed(key, value, _KEYS[key], "the run's settings") for key, value in values.items()}
    )


def resolve(
    settings_file: Path,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
    assignments: tuple[str, ...] = (),
    presets: Mapping[str, Any] | None = None,
) -> Resolved:
    """Collect settings from every source.

    Parameters
    ----------
    settings_file : Path
        TOML with a table a section; may be absent.
    environment : mapping
        RECSYS_SECTION_KEY, for example RECSYS_TRAINING_EPOCHS.
    flags : mapping
        section.key -> value; None means that the flag was not given.
    assignments : tuple of str
        "key=value" from -S; the section may be left out where the key is in one section only,
        `verse` not counted: its keys are written in full.
    presets : mapping or None
        section.key -> value: what the kind of the data has instead of the defaults.

    Raises
    ------
    ConfigError
        An unknown key (names the nearest known), a key set by -S and by
        its own option, or a value of the wrong type or range.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(_KEYS, "default")

    def put(key: str, value: Any, source: str, shown: str) -> None:
        values[key] = typed(key, value, _KEYS[key], shown)
        sources[key] = source

    for key, value in (presets or {}).items():
        put(key, value, FOR_POEMS, FOR_POEMS)
    for key, value in _read_file(settings_file).items():
        put(key, value, str(settings_file), str(settings_file))
    variables = {"RECSYS_" + key.replace(".", "_").upper(): key for key in _KEYS}
    for variable, text in environment.items():
        if variable in variables:
            put(variables[variable], text, variable, variable)
        elif variable.startswith(tuple(f"RECSYS_{name.upper()}_" for name in _SECTIONS)):
            near = difflib.get_close_matches(variable, variables, n=1, cutoff=0.4)
            raise ConfigError(
                f"the environment sets {variable}, which is no setting; the nearest known is "
                f"{near[0] if near else 'none'} (`recsys config` lists all)"
            )
    for key, value in flags.items():
        if value is not None:
            put(key, value, "flag", f"--{key.split('.')[1].replace('_', '-')}")
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"-S {assignment!r}: expected key=value, such as training.epochs=20")
        key = _full_key(name.strip(), f"-S {assignment}")
        if flags.get(key) is not None:
            raise ConfigError(f"-S {assignment}: {key} has its own option on this command line too")
        put(key, text.strip(), "flag", f"-S {assignment}")
    return Resolved(_build(values), sources)


def _read_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    values = {}
    for section, table in content.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{path}: {section} stands outside a section; write it under one of "
                f"{', '.join(f'[{name}]' for name in _SECTIONS)}"
            )
        for name, value in table.items():
            values[_full_key(f"{section}.{name}", str(path))] = value
    return values


def _full_key(name: str, where: str) -> str:
    """Complete a key without section, or refuse it with the nearest known one."""
    if name in _KEYS:
        return name
    matches = [key for key in _KEYS if key.split(".")[1] == name and not _in_full(key)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"{where}: {name!r} could be {' or '.join(matches)}; write which")
    short = [key.split(".")[1] for key in _KEYS]
    near = difflib.get_close_matches(name, [*_KEYS, *short], n=1, cutoff=0.4)
    hint = f"; the nearest known is {near[0]!r}" if near else ""
    raise ConfigError(f"{where}: unknown key {name!r}{hint} (`recsys config` lists all)")


def _in_full(key: str) -> bool:
    """Whether a key is always written with its section: most of verse's names are others' too."""
    return key.startswith("verse.")


def _build(values: Mapping[str, Any]) -> Settings:
    sections = {}
    for name, section in _SECTIONS.items():
        own = {
            key.split(".")[1]: value for key, value in values.items() if key.startswith(f"{name}.")
        }
        sections[name] = section(**own)
    return Settings(**sections)


_SECTIONS: dict[str, Any] = {
    each.name: type(getattr(Settings(), each.name)) for each in dataclasses.fields(Settings)
}
_KEYS: dict[str, Any] = {
    f"{name}.{key}": wanted
    for name, section in _SECTIONS.items()
    for key, wanted in typing.get_type_hints(section).items()
    if key in {each.name for each in dataclasses.fields(section)}
}
