"""What a posterior is for: predictions, and the decisions that stand on them."""

__all__: list[str] = []
