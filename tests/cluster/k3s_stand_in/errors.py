"""The two kinds of failure."""


class FatalError(Exception):
    """The process logs the message and ends."""


class Refused(Exception):
    """The cluster refuses a request, with an HTTP status."""

    def __init__(self, message, status=500):
        super().__init__(message)
        self.status = status
