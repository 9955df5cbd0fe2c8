"""The command line: each stage is a page of wiring over one part of the library.

The folder installs as `recsys.pipelines`. Imports among its own modules are relative, so that
type checkers, which see the folder and not the installed name, can follow them.
"""
