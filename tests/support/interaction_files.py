"""Small interactions files, what is read of them, and why they are refused."""

import pytest

from recsys.data.readers import read_events
from recsys.errors import DataError


def write(tmp_path, text, name="ratings.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(events):
    """Give (user, item, value) in the file's order."""
    users = events.users.ids[events.user_positions]
    items = events.items.ids[events.item_positions]
    return list(zip(users, items, events.values.tolist(), strict=True))


def refusal(source, options=None, error=DataError):
    with pytest.raises(error) as caught:
        read_events(source, options)
    message = str(caught.value)
    assert "\n" not in message
    return message
