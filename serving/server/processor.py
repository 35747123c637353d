"""What a processor has to have."""

from __future__ import annotations

import re

_NEEDED = ("avx2", "fma")


def missing_instructions(cpuinfo: str) -> list[str]:
    """Instructions that ScaNN was compiled with and the processor lacks; without them it ends the process by SIGILL.

    Args:
      cpuinfo: Linux' /proc/cpuinfo; where it names no flags, nothing is missing.
    """
    found = re.search(r"^flags\s*: (.*)$", cpuinfo, re.MULTILINE)
    flags = found[1].split() if found else _NEEDED
    return [name.upper() for name in _NEEDED if name not in flags]
