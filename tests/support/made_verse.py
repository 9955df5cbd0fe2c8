"""Made-up verse of a hundred characters, for tests of what writes verse."""

import json
from pathlib import Path

import numpy as np

SHORES = "流樓秋愁州洲浮求頭鷗眸羞休遊悠牛舟留"
WATER = "日山河海月水雲風江天花草木石泉松竹雨雪霜"
OTHERS = "白依盡入欲窮千里目更上一層落日照客歸處故鄉明夜思望遠長斷古道西沙寒鳥飛絕孤獨釣"
CHARACTERS = "".join(dict.fromkeys(SHORES + WATER + OTHERS))


def write_poems(path: Path, n_poems: int = 80) -> None:
    """Write poems of four lines as chinese-poetry JSON; the first two are called 無題."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(n_poems):
        lines = ["".join(rng.choice(list(CHARACTERS), 5, replace=False)) for _ in range(4)]
        couplets = [
            f"{odd}，{even[:4]}{SHORES[number % 18]}。"
            for odd, even in zip(lines[::2], lines[1::2], strict=True)
        ]
        title = "無題" if number < 2 else f"詩{number}"
        records.append(
            {"id": f"p{number}", "title": title, "author": "詩人", "paragraphs": couplets}
        )
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


class Noise:
    """A couplet model whose logits are its latent code."""

    characters = ("<begin>", *CHARACTERS)
    latent_dim = len(characters)

    def writing(self, setting, codes):
        def begin(rows):
            liked = codes(rows)
            return lambda previous: liked

        return begin

    def codes(self, couplets):
        """Logits that fall from the couplet's first character to its last."""
        codes = np.zeros((len(couplets), self.latent_dim), dtype=np.float32)
        for row, (first, second) in enumerate(couplets):
            for place, each in enumerate(first + second):
                codes[row, self.characters.index(each)] = 20 - place
        return codes
