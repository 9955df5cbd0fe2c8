"""What the service answers from: the current generation, and the way to the next one."""

import datetime
import logging
import threading
from pathlib import Path
from typing import Any

from recsys.data.event_store import EventStore
from recsys.errors import RecsysError
from recsys.serving.gathering import Gatherer
from recsys.serving.generation import Asked, Generation

log = logging.getLogger("recsys.serving")

MOST_TOGETHER = 256
"""Users of one block, and requests of one transaction."""


class Served:
    """The current generation, what ranks by it, and the events that are written beside it.

    Parameters
    ----------
    root : Path
        The workspace.
    device : str

    Raises
    ------
    RecsysError
        The workspace cannot be served.
    """

    def __init__(self, root: Path, device: str = "cpu") -> None:
        self.root, self.device = root, device
        self.events = EventStore(root / "events.sqlite")
        self.current = Generation.load(root, self.events, device)
        self.loaded = _now()
        self.last_error: str | None = None
        self._loading = threading.Lock()
        self.ranked = Gatherer(_ranked, MOST_TOGETHER, "ranking")
        self.kept = Gatherer(self.events.append_each, MOST_TOGETHER, "events")

    def reload(self) -> bool:
        """Load the workspace anew, beside what is served, and put it in its place.

        A workspace that cannot be loaded is refused: the reason is logged and kept in
        `last_error`, and the old generation goes on.

        Returns
        -------
        bool
            Whether the new one is served.
        """
        with self._loading:
            try:
                new = Generation.load(self.root, self.events, self.device)
            except (RecsysError, OSError) as error:
                self.last_error = str(error)
                log.error("reload refused, the old model goes on: %s", error)
                return False
            self.current, self.loaded, self.last_error = new, _now(), None
            log.info("now serving model %s", new.fingerprint[:12])
            return True

    def close(self) -> None:
        """Finish what is being worked on."""
        self.ranked.close()
        self.kept.close()
        self.events.close()


def _ranked(block: list[tuple[Generation, Asked]]) -> list[dict[str, Any] | Exception]:
    """Look up and rank a block, what is asked of each generation together.

    A request is answered by the generation that it came to, all of its lists by the same.
    """
    answers: list[dict[str, Any] | Exception] = [RecsysError("not asked")] * len(block)
    for generation in dict.fromkeys(each for each, _ in block):
        places = [place for place, (each, _) in enumerate(block) if each is generation]
        found = generation.answers([block[place][1] for place in places])
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
    return answers


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
