"""Write a tiny workspace in today's artefact formats, with the answers that it must always give.

Run once for each new format version, into a folder of its own; never rewrite an old one:

    python tests/golden/make.py tests/golden/v1
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from recsys.recommender import Recommender

RECSYS = [sys.executable, "-m", "recsys.pipelines"]
USERS = ["u1", "u9", "u30"]


def main(folder: Path) -> None:
    """Ingest made-up clicks, train, index, and remember some lists."""
    rng = np.random.default_rng(1)
    lines = ["user,item,rating,time"]
    for user in range(1, 41):
        for item in sorted(rng.choice(14, size=7, replace=False)):
            lines.append(f"u{user},i{item:02},{rng.integers(1, 6)},{1000 + user}")
    folder.mkdir(parents=True)
    clicks, items = folder / "clicks.csv", folder / "items.csv"
    clicks.write_text("\n".join(lines) + "\n")
    things = (f"i{n:02},Thing {n},{'odd' if n % 2 else 'even'}\n" for n in range(14))
    items.write_text("item_id,title,kind\n" + "".join(things))
    here = [*RECSYS, "--workspace", str(folder)]
    subprocess.run([*here, "ingest", str(clicks), "--items", str(items)], check=True)
    small = ["-S", "latent_dim=4", "-S", "hidden_dim=6", "-S", "training.epochs=20"]
    small += ["--label", "kind", "-S", "fewest_bearers=3", "-S", "label_weight=30"]
    subprocess.run(
        [*here, "train", "--validation-size", "5", "--test-size", "5", *small], check=True
    )
    subprocess.run([*here, "index", "--kind", "cells"], check=True)
    for left_over in (clicks, items, folder / ".lock"):
        left_over.unlink(missing_ok=True)
    shutil.rmtree(folder / "runs")
    recommender = Recommender.load(folder)
    answers = {
        "recommend": {
            each.user: [[one.item, round(one.score, 4)] for one in each.items]
            for each in recommender.recommend(USERS, k=3)
        },
        "similar_items": [each.id for each in recommender.similar_items("i03", k=3)],
        "similar_users": [each.id for each in recommender.similar_users("u9", k=3)],
        "titles": recommender.titles["i03"],
        "item_labels": {
            name: round(float(share), 4)
            for name, share in zip(
                recommender.vae.labels.names,
                recommender.vae.item_label_probabilities()[recommender.items.positions(["i03"])[0]],
                strict=True,
            )
        },
    }
    (folder / "answers.json").write_text(json.dumps(answers, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
