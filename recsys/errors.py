"""Every deliberate error, as a tree: a user's mistake or a broken artefact, never a bug of ours.

RecsysError              exit code 1
+-- ConfigError          2   an option, a setting or a combination of them
+-- DataError            3   the input data
+-- UnknownIdError       4   an id that the data or the model has not met
+-- ArtefactError        1   a saved model, index or data set is missing, damaged or mismatched
+-- TrainingError        1   training cannot go on (collapse, NaN)
+-- FetchError           1   no source of a public data set could be used
+-- WorkspaceBusyError   1   another process is writing to the workspace
"""


class RecsysError(Exception):
    """Root of all deliberate errors; its message is one line that a user can act on."""

    exit_code = 1


class ConfigError(RecsysError):
    """An option, a setting or a combination of them is not usable."""

    exit_code = 2


class DataError(RecsysError):
    """The input data are not usable; the message names file, line and value."""

    exit_code = 3


class UnknownIdError(RecsysError):
    """An id was asked for that the data or the model has not met."""

    exit_code = 4


class ArtefactError(RecsysError):
    """A saved artefact is missing, damaged, too new, or does not belong to its partner."""


class TrainingError(RecsysError):
    """Training cannot usefully go on; the message gives advice."""


class FetchError(RecsysError):
    """No source of a public data set could be used; the message says how to fetch by hand."""


class WorkspaceBusyError(RecsysError):
    """Another process holds the workspace's write lock."""
