"""Values as tables on the console show them."""


def figure(value: float | None) -> str:
    """A figure; "" where there is none."""
    return "" if value is None else f"{value:.4f}"
