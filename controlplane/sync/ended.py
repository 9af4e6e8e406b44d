"""Why a run does not go on."""


class RunEnded(Exception):
    """A run that does not go on, with tags left; `str()` is one sentence that says why."""
