"""The command line: each stage is a page of wiring over one part of the library."""
