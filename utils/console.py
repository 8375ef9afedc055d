"""What the commands of all rooms print goes to any terminal; the standard library only."""

import sys


def print_anywhere() -> None:
    """Let no print fail for want of a sign: what the terminal's encoding lacks is printed as its number.

    A Windows pipe has cp1252, without the arrows and the minus that the commands print, and a file name need
    not be text at all.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
