"""Exact search over vectors; knows nothing of users, items or models."""
