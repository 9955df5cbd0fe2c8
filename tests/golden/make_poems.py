"""Write a tiny workspace of poems in today's format of the interactions.

Run once for each new format version, into a folder of its own; never rewrite an old one:

    python tests/golden/make_poems.py tests/golden/poems-v2
"""

import json
import subprocess
import sys
from pathlib import Path

POEMS = [
    {
        "id": "t1",
        "title": "登鸛雀樓",
        "author": "王之渙",
        "paragraphs": ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"],
    },
    {"title": "山中", "author": "", "paragraphs": ["山山（一作「水」）黃葉□"]},
]


def main(folder: Path) -> None:
    """Ingest two poems."""
    folder.mkdir(parents=True)
    poems = folder / "poems.json"
    poems.write_text(json.dumps(POEMS, ensure_ascii=False), encoding="utf-8")
    words = ["--workspace", str(folder), "ingest", "--poems", str(poems)]
    subprocess.run([sys.executable, "-m", "recsys.pipelines", *words], check=True)
    for left_over in (poems, folder / ".lock"):
        left_over.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
