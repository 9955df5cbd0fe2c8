"""Protocols and reports: how good is a recommender, for whom, and compared with what."""
