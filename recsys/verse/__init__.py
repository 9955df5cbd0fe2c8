"""Classical verse: prosody, couplets that are encoded and written, and the look-up of poems."""
