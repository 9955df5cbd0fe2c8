"""Search over vectors, exact or measured; knows nothing of users, items or models."""
