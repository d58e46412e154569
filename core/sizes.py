"""Human-readable numbers."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size: int) -> str:
    """Return a number of bytes as text: "0 B", "1.5 MiB"."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount /= 1024
        unit += 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{size} B"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 tag", "2 tags"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"
