"""What parts of the experiment raise."""


class ExperimentError(ValueError):
    """The experiment asks for something that cannot be done; says which key, which value and the way out."""
