"""What requests and responses look like, for validation and for the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recsys.data.poems import Form
from recsys.rules import MOST_POPULARITY, Manner, Rules
from recsys.verse.prosody import VerseForm
from recsys.verse.scripts import Script

MOST_K, MOST_ITEMS, MOST_USERS, MOST_IDS, MOST_EVENTS = 1_000, 5_000, 1_000, 100_000, 1_000
LONGEST_ID, LONGEST_TEXT, LATEST_TIME = 1_000, 2_000, 1e11

N_REASONS = 3
"""Items of the history that `why` tells of each recommendation."""


def _whole(value: Any) -> Any:
    """Take 5.0 for 5, as JSON Schema does."""
    return int(value) if type(value) is float and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
K = Annotated[int, Field(ge=1, le=MOST_K, description="How many."), WHOLE]


class Strict(BaseModel):
    """Nothing is guessed: no unknown fields, no 7 for "7", no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class AtMost(Strict):
    """So many items of a list with the same cell of a column."""

    column: Annotated[str, Field(max_length=LONGEST_ID, examples=["release_year"])]
    n: Annotated[int, Field(ge=1, le=MOST_K), WHOLE]


class RulesAsked(Strict):
    """Which items may be given, and how a list is put together; as of `recsys recommend`."""

    allow: Annotated[list[Id], Field(max_length=MOST_IDS)] | None = None
    deny: Annotated[list[Id], Field(max_length=MOST_IDS)] = []
    where: (
        Annotated[str, Field(max_length=LONGEST_TEXT, examples=["release_year >= 1990"])] | None
    ) = None
    at_most: AtMost | None = None
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    popularity: Annotated[float, Field(ge=-MOST_POPULARITY, le=MOST_POPULARITY)] = 0.0

    def rules(self) -> Rules:
        """Give them as the library knows them.

        Raises
        ------
        ConfigError
            `where` cannot be read.
        """
        at_most = None if self.at_most is None else (self.at_most.column, self.at_most.n)
        return Rules(self.allow, self.deny, self.where, at_most, self.diversity, self.popularity)


class MannerAsked(Strict):
    """What every list that is asked for may say."""

    k: K = 10
    exclude_seen: bool = True
    rules: RulesAsked = RulesAsked()
    why: Annotated[bool, Field(description="Tell what of the history adds most.")] = False
    explore: Annotated[int, Field(ge=0, le=2**31 - 1, description="A seed."), WHOLE] | None = None

    new: Annotated[
        int,
        Field(ge=0, le=MOST_K, description="Places for items nobody has met yet; at most k."),
        WHOLE,
    ] = 0

    def manner(self) -> Manner:
        """Give it as the library knows it.

        Raises
        ------
        ConfigError
            `where` cannot be read.
        """
        n_reasons, n_new = N_REASONS if self.why else 0, min(self.new, self.k)
        rules = self.rules.rules()
        return Manner(self.k, self.exclude_seen, rules, n_reasons, self.explore, n_new)


class RecommendAsked(MannerAsked):
    """A list for a user, for somebody who liked these items, or for a user had it liked them.

    Nobody, who liked nothing, is given what is popular.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": "196", "k": 5}, {"items": ["50", "181"], "k": 5, "why": True}]
        }
    )

    user: Id | None = None
    items: Annotated[list[Id], Field(max_length=MOST_ITEMS)] = []


class BatchAsked(MannerAsked):
    """Lists for many users."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"users": ["196", "22"], "k": 5}]})

    users: Annotated[list[Id], Field(min_length=1, max_length=MOST_USERS)]


class EventAsked(Strict):
    """One interaction."""

    user: Id
    item: Id
    value: Annotated[float, Field(ge=-1e9, le=1e9, description="A rating or a weight.")] = 1.0
    time: Annotated[float, Field(ge=0, le=LATEST_TIME)] | None = Field(
        None, description="Seconds since 1970; now, where it is left out."
    )
    key: Id | None = Field(None, description="Your own name of it: sent again, it is kept once.")


class EventsAsked(Strict):
    """Interactions that happened; they count at once, and in the next training."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"events": [{"user": "196", "item": "50", "value": 5, "key": "e1"}]}]
        }
    )

    events: Annotated[list[EventAsked], Field(min_length=1, max_length=MOST_EVENTS)]


class AmongPoems(Strict):
    """How many poems, among which, and how they are shown."""

    k: K = 10
    author: Id | None = None
    form: Form | None = None
    script: Script | None = None


class LikeText(AmongPoems):
    """Poems like a text, a line of verse for example."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "春眠不覺曉", "k": 3}]})

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class LikePoem(AmongPoems):
    """Poems like one that is named by id or title."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"poem": "江雪", "k": 3}]})

    poem: Id


class GenerateAsked(Strict):
    """Poems to be written; as of `recsys generate`, about a theme, a poem, or both."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"form": "5-jueju", "theme": "秋 雨", "n": 1}]}
    )

    form: VerseForm = "5-jueju"
    theme: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None
    like: Id | None = None
    acrostic: Annotated[str, Field(max_length=20)] = ""
    first_line: Annotated[str, Field(max_length=20)] = ""
    free: bool = False
    temperature: Annotated[float, Field(ge=0.1, le=2)] = 0.85
    candidates: Annotated[int, Field(ge=1, le=32), WHOLE] = 6
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] = 0
    n: Annotated[int, Field(ge=1, le=8), WHOLE] = 1
    script: Script | None = None


class Because(BaseModel):
    """An item of the history, and how much it adds."""

    item: str
    score: float
    title: str | None = None


class Recommended(BaseModel):
    """One recommended item.

    `low` to `high` holds 95 % of its scores, where `why` was asked; a `cold` item is one that
    nobody had met in training.
    """

    item: str
    rank: int
    score: float
    title: str | None = None
    low: float | None = None
    high: float | None = None
    cold: bool | None = None
    why: list[Because] | None = None


class RecommendedList(BaseModel):
    """What one user is recommended; `requested` is there where fewer exist under the rules."""

    user: str | None
    items: list[Recommended]
    requested: int | None = None
    reason: Literal["popularity"] | None = None


class Batch(BaseModel):
    """Lists in the order of the users; of `unknown` ones nothing is known."""

    lists: list[RecommendedList]
    unknown: list[str]


class SimilarItem(BaseModel):
    """A similar item."""

    item: str
    rank: int
    score: float
    title: str | None = None


class SimilarItems(BaseModel):
    """Items like `query`; `requested` is there where fewer exist."""

    query: str
    items: list[SimilarItem]
    requested: int | None = None


class SimilarUser(BaseModel):
    """A similar user."""

    user: str
    rank: int
    score: float


class SimilarUsers(BaseModel):
    """Users like `query`, as of the index; `requested` is there where fewer exist."""

    query: str
    items: list[SimilarUser]
    requested: int | None = None


class Items(BaseModel):
    """A page of the catalogue: what is known of each item, and how many there are in all."""

    items: list[dict[str, str]]
    total: int


class Users(BaseModel):
    """Ids of users, and how many there are in all."""

    users: list[str]
    total: int


class Accepted(BaseModel):
    """How many events are kept now that were not before."""

    accepted: int


class SimilarPoem(BaseModel):
    """A poem that was found, with its line that is closest."""

    poem: str
    rank: int
    score: float
    title: str
    author: str
    line: str


class SimilarPoemsFound(BaseModel):
    """Poems like `query`."""

    query: str
    items: list[SimilarPoem]
    requested: int | None = None


class NearestLine(BaseModel):
    """The existing line that shares most with a new one."""

    line: str
    poem: str
    title: str
    author: str
    closeness: float


class WrittenLine(BaseModel):
    """A line with its tones, and the pattern that it keeps."""

    line: str
    tones: str
    pattern: str
    rhymes: bool
    ambiguous: list[int]
    nearest: NearestLine | None


class WrittenPoem(BaseModel):
    """A poem with what judges it."""

    poem: int
    form: str
    start: str | None
    rhyme: str | None
    score: float
    log_likelihood: float
    commonness: float
    closeness: float
    theme: float
    antithesis: float
    lines: list[WrittenLine]


class WrittenPoems(BaseModel):
    """Poems that were written; characters of the theme that the model has not met."""

    poems: list[WrittenPoem]
    unknown: list[str]


class Ready(BaseModel):
    """What is served, and since when."""

    status: Literal["ready"]
    model: str
    loaded: str
    n_users: int
    n_items: int
    sparse: bool
    poems: bool
    verse: bool
    value_kind: str
    last_reload_error: str | None = None


class MapPoint(BaseModel):
    """An item in the plane; x and y from 0 to 1."""

    item: str
    title: str
    x: float
    y: float
    cluster: int


class MapCluster(BaseModel):
    """A cluster by what tells it."""

    name: str
    colour: str


class LatentMap(BaseModel):
    """The items in the plane of their two first principal components."""

    points: list[MapPoint]
    clusters: list[MapCluster]
    explained: float


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Problem(BaseModel):
    """What went wrong, in one line."""

    detail: str
