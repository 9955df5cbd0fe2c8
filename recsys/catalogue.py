"""The public data sets that `recsys fetch` knows: where each comes from, and on what terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One place that a data set can be had from, as an archive.

    Parameters
    ----------
    kind : {"url", "pip", "npm"}
        Downloaded directly, by `pip download` or by `npm pack`.
    location : str
        The address, or the package with its version as pip or npm write it.
    archive : str
        File name of the archive, a zip or a tar.
    sha256 : str or None
        Of the archive. None where nobody has published one: the files are then
        remembered as they came first and checked from then on.
    keep : tuple of str
        Patterns of the paths inside the archive that are kept, each under its last name.
    files : mapping of str to (str or None)
        Files that must be there once it is unpacked, and the SHA-256 of each where known.
    interactions, items : str or None
        Which of the files `recsys ingest` reads; None where the data are no interactions.
    """

    kind: Literal["url", "pip", "npm"]
    location: str
    archive: str
    sha256: str | None
    keep: tuple[str, ...]
    files: Mapping[str, str | None]
    interactions: str | None = None
    items: str | None = None

    def __str__(self) -> str:
        """Name it for a person."""
        tool = {"url": "", "pip": "Python package ", "npm": "npm package "}[self.kind]
        return f"{tool}{self.location}"


@dataclass(frozen=True)
class Dataset:
    """A public data set: its terms, and its sources in the order in which they are tried.

    Parameters
    ----------
    name : str
        What `recsys fetch` calls it.
    title, licence, citation : str
        One line each, shown before anything is downloaded.
    homepage : str
        Where a person finds it, to fetch it by hand.
    sources : tuple of Source
        At least one.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    sources: tuple[Source, ...]


_GROUPLENS_LICENCE = (
    "free for research; no commercial use without permission, no redistribution (GroupLens terms)"
)
_GROUPLENS_CITATION = (
    "F. Maxwell Harper and Joseph A. Konstan (2015). The MovieLens Datasets: History and Context. "
    "ACM TiiS 5(4), article 19. https://doi.org/10.1145/2827872"
)


def _movielens(
    name: str,
    title: str,
    sha256: str,
    files: Mapping[str, str | None],
    copies: tuple[Source, ...] = (),
) -> Dataset:
    # By GroupLens's habit the first file listed is the ratings, the second the films.
    interactions, items = list(files)[:2]
    original = Source(
        kind="url",
        location=f"https://files.grouplens.org/datasets/movielens/{name}.zip",
        archive=f"{name}.zip",
        sha256=sha256,
        keep=(f"{name}/*",),
        files=files,
        interactions=interactions,
        items=items,
    )
    return Dataset(
        name=name,
        title=title,
        licence=_GROUPLENS_LICENCE,
        citation=_GROUPLENS_CITATION,
        homepage="https://grouplens.org/datasets/movielens/",
        sources=(original, *copies),
    )


_ML_100K = _movielens(
    "ml-100k",
    "MovieLens 100K: 100,000 ratings (1-5) of 1,682 films by 943 people, 1997-98",
    "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    {
        "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
        "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
    },
    copies=(
        Source(
            kind="pip",
            location="recbole==1.2.1",
            archive="recbole-1.2.1-py3-none-any.whl",
            sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
            keep=("recbole/dataset_example/ml-100k/*",),
            files={
                "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                "ml-100k.kg": "200a0636fa07c218119a42e5bac7aa3e26e3665a6f919c1b22909bd412b14779",
                "ml-100k.link": "524dca2c3d62619688ab99b3ec53ea2acb9b64d38eafec3e02bdd0dc6bb7d948",
                "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
            },
            interactions="ml-100k.inter",
            items="ml-100k.item",
        ),
    ),
)

_ML_1M = _movielens(
    "ml-1m",
    "MovieLens 1M: 1,000,209 ratings (1-5) of 3,706 films by 6,040 people, 2000-03",
    "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    {
        "ratings.dat": "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
        "movies.dat": None,
    },
)

_ML_20M = _movielens(
    "ml-20m",
    "MovieLens 20M: 20,000,263 ratings (0.5-5) of 26,744 films by 138,493 people, 1995-2015",
    "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    {"ratings.csv": None, "movies.csv": None},
)

_ML_LATEST_SMALL = _movielens(
    "ml-latest-small",
    "MovieLens latest-small (edition of 9/2018): 100,836 ratings (0.5-5) of 9,724 films by 610 "
    "people",
    "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    {"ratings.csv": None, "movies.csv": None},
)

_GOODBOOKS = Dataset(
    name="goodbooks-10k",
    title="goodbooks-10k (the later edition): 6 million ratings (1-5) of 10,000 books by 53,424 "
    "people",
    licence="CC BY-SA 4.0",
    citation="Zygmunt Zajac (2017). Goodbooks-10k: a new dataset for book recommendations. FastML. "
    "https://fastml.com/goodbooks-10k",
    homepage="https://github.com/zygmuntz/goodbooks-10k/releases",
    sources=(
        Source(
            kind="url",
            location="https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/"
            "goodbooks-10k.zip",
            archive="goodbooks-10k.zip",
            sha256="261b97b56db61f3fb2ce5aadbb13704d30179fcc986c17ace665a0af9ed00731",
            keep=("*.csv",),
            files={"ratings.csv": None, "books.csv": None},
            interactions="ratings.csv",
            items="books.csv",
        ),
    ),
)

# The commit whose poems are in traditional characters, as the npm package has them;
# later ones hold a simplified conversion, which cannot be turned back.
_TANG_COMMIT = "fa1814a8044db4fb0c7a9e0a0449974e8c3463b7"
_TANG_POEMS = tuple(f"poet.tang.{first}.json" for first in range(0, 58_000, 1_000))
_TANG_SHA256 = [
    "4f88f429938082523cdc72a1612bd7a7c3e3f7a33f8192c61ae51340efc3c92d",
    "6e703b8d8dcedbd6110f6d48d043665ca2131db2035a5bfcef5e59a19aeb6d75",
    "ec28efa7e2ae9cdbbba09f0ed186e32ccae47a325ad1e5816b7ad56071c1665a",
    "9e4ba2323752b6b9fbdba875cdbc6a26636fe0cabc85fd066370d4915952001f",
    "b8a7946c879b9658a6c667a4c55f776fae7e5e00a17789ab06b274c1429afc66",
    "a0306e6962cff01639ad9a00b042a201b8dec1f30fa5d768a7b112589887861e",
    "982a21d2b15922b406911f1c825785054314c686da86b2155d7aebb362d22771",
    "a6fb69d7b4343c904dc56ae5aae34facc2478d196b51c37ceba9d1e2f171b342",
    "ac3848e95b02736168003863795de4474838c2d6a71a24ca2a4a280ea5177773",
    "b99d6596e3a1fe1a661652383083f92d196b8baf4e461d087081d5e1e1b7a51f",
    "b97d1c5509ab62f5b433dee2020c11c4deda4542e276683d1ada6619c34c2113",
    "9adf1835246053c821d99af39ce9092e14a94e1baf91740098bd9fc6f6f1cd27",
    "ec43d055a219d52ecdb58cd30a8a444189392f0d68b92a41495df1c72c5fd095",
    "eb9c85072d7913bb972e07c72f0123e9d7addca22cfd833cb79a5d74b1c76ebf",
    "1e366dd3fb5a011091524bed36e4edff5d015bf0ddb14143f298515387dbd9a9",
    "0386e58f46517daa3af0e0f385e0223f1efc0dac53afbe8fea64f99074d870b7",
    "1c477aef1fc50523f9baf10f29d2d89201a14c4c73001c1c041d0fe8464d11db",
    "11bac8333b2042975b9844423d113ff2c6fdf701c8b08a5b3aaa6bc9472222de",
    "37543a147d16e3576d5f45ba8f7b8b51fc311bc10eddae9440f16f2d5ae885c2",
    "dea74b41bc807ce2527bb119862a251e3a92b6f69bdf9f98b1434a8336830542",
    "8ccf0783888b15bec60d0253e278cd4b67e94a77725df8ed079d4d8062d050b4",
    "bddae814c82bf6a9fd294504aa48794bca5f03e986110739b1577aa811125cbd",
    "d7e7efe3f67415455ae93974a5aa67427e99f6713fde27920bfb657ad3204c4a",
    "220a535a762349ec1beed00f1dc11293ccefc70bda15c5258bbcab208b14337f",
    "2f40a4ec0e4469c29f0f028d7a4ad73b83850aa271be9b63ea0c08de6e094dee",
    "7e7c00ba3f7a95e97de5440f85affa9d54b420d31995b449e97a3e9ea00259f5",
    "74b5bed25622da1611928fdb31297fafadaf2876ce32ddb0c8b6d12d772979f4",
    "11626fcc310bbbcc601f7c8c4d8a664cef4907076cd7ec4f16268ee5b921ba44",
    "86a15affa95859046f869ffd4850886250d1a181e5151b1f096f728fb2d67502",
    "e1a0cffe17b4f109399db38f2b23f9b6668b8ca1c3c24e36d5cbe4f40a925862",
    "e71996f771d15476bae48751081b473b381774b5d335f6163b183f70a2eaed01",
    "f1efaf172d4f6fa9aaacfa4160feb766189989c3264da6ce3a6d64a7c97097bb",
    "fcb2096245719199249ad23e75eac6997b5a4341564dd1cf73ce8008975b3d74",
    "35abb37f65817ee4630cfeb2db286832e505873c477e12f14693bcd20e920885",
    "4b656a62b6a187792c96a632c7e33f443eabda8b48c4fb5dfdda72cf02003095",
    "a9671b350e58b805fda88b2c17fa0bf3a05313017d28485010e6f60a69bdf945",
    "1c8e71a32743b37d318bf8beb44b8809a8079011231cf3c7106e2c59f03c55b4",
    "4c37d2d92ee6fdd73299ef13c91e17b9cbb11ef59d1e024254db1eceb95dc7ae",
    "08b2ce85e59eac59fe621921b62c15528e9dfb6a102994297703ad67e14aa83f",
    "791d0171fe1dc88cee8424ae0281f495ed0dcdf042f97f2a3fc9b37e05e9426c",
    "851d0c3cb796c7f7c63a7765e28564b2c3be3d9691c9f43f88d4d3c64034b5d8",
    "3c12f59a5103e582eed9fe6ae13affddc030a31e9956efb13cb7768296ba7396",
    "060026beb06028864bce48e8074e2690f92a1dc5a76ee91f98f2d62b5f02a15c",
    "de5e658dccbcf0d2b38312b39a2423459b88ef893830bc145d453d82887a5753",
    "8c6d550818f5390413bc58fbb3af059d3fa4a92264b1bcf84439c2b0bb043985",
    "5177a4747b785f04897c36b77d5e033b11a7bcad759d1557fdb425166b8767f3",
    "287e548147e6959306b74c862a1ebe43cdca39adee34e2c63ae5d3b5eaced1f5",
    "8b43cce475ed43b1105a12a8bdcef32ac22dc056c5f2c616a2976a4103b5d8ac",
    "8df4861e8d7bc114e91d0a5e37d193f662485cd88b8d09289cc5ac9ab243c3ed",
    "418e5a082cb70c4f85ce842affec8828a53f6296882e45339c74d553fc46495e",
    "894bf4e729932d2b48ba731a48075347cf55626c08ac9f30b2fe412ca9e4e895",
    "9bd1b263807c5c64bca773b76d4861a49af19b76184f88260d6080bb03311928",
    "1124f4b27f46bd1ffaafdda530719eddbe41858778a0a13e4557ea4eb49ffef0",
    "75841062fa939e72ee12669859933c9178b88a5c5492bc9ba84d9ef7c6f1e65a",
    "cd2ba326b80ff8490723ad9fb1ace812306f0e433b74268420165068b0a975ac",
    "3782736dfee847958363d4adeff1236f148aff3726f2964963b17b06dad2f97b",
    "274ad6e13c069e35856e53b5dee6821ad2aa9bf8b2a5f969e2eb1234fe954bca",
    "e04c137b040c1a91e16614178c189d0c30a68e1d4657ea8fde8467601e3ac121",
]

_TANG = Dataset(
    name="tang-poems",
    title="Quan Tang shi: 57,607 poems of the Tang, traditional characters",
    licence="MIT (chinese-poetry)",
    citation="chinese-poetry: the most comprehensive database of classical Chinese poetry. "
    "https://github.com/chinese-poetry/chinese-poetry",
    homepage="https://github.com/chinese-poetry/chinese-poetry",
    sources=(
        Source(
            kind="url",
            location=f"https://github.com/chinese-poetry/chinese-poetry/archive/{_TANG_COMMIT}.tar.gz",
            archive=f"chinese-poetry-{_TANG_COMMIT}.tar.gz",
            # GitHub packs archives anew and does not promise the same bytes.
            sha256=None,
            keep=(
                f"chinese-poetry-{_TANG_COMMIT}/全唐诗/poet.tang.*.json",
                f"chinese-poetry-{_TANG_COMMIT}/LICENSE",
                f"chinese-poetry-{_TANG_COMMIT}/README.md",
            ),
            files=dict.fromkeys(_TANG_POEMS),
        ),
        Source(
            kind="npm",
            location="chinese-poetry@2.0.1",
            archive="chinese-poetry-2.0.1.tgz",
            sha256="25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86",
            keep=(
                "package/dist/quantangshi/poet.tang.*.json",
                "package/LICENSE",
                "package/README.md",
            ),
            files={
                **dict(zip(_TANG_POEMS, _TANG_SHA256, strict=True)),
                "LICENSE": "89c627fc3f9f65efdf438701cc9cc2b5fbf1abf79793c9ec15c05475bd7882cc",
                "README.md": "52f4c5d96a07ba770dc8c2f710c302b3bbdd17564d4d66fbf2ff55ab00381d32",
            },
        ),
    ),
)

CATALOGUE: Mapping[str, Dataset] = MappingProxyType(
    {each.name: each for each in (_ML_100K, _ML_1M, _ML_20M, _ML_LATEST_SMALL, _GOODBOOKS, _TANG)}
)
"""Every data set by the name that `recsys fetch` calls it."""
