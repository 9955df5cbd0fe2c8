"""The HTTP service: recommendations, events and the explorer page from one process or several."""
