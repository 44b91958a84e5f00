"""From pictures to a trained model."""

__all__: list[str] = []
