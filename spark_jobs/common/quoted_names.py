"""Names of columns as Spark SQL reads them, whatever signs a shop's file has in its names."""


def quoted(name: str) -> str:
    """Return the name in backticks, with those of its own doubled."""
    return f"`{name.replace('`', '``')}`"
