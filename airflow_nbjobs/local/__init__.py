"""The embedded SageMaker: a twin for development and tests. Shares no code with the client it checks."""


class StartError(Exception):
    """The embedded SageMaker cannot start; the text says why, and what to do."""
