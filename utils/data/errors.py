"""What can go wrong with data, one class for each thing a reader would do differently about."""

from __future__ import annotations


class DatasetNotFound(FileNotFoundError):
    """Neither a decoded copy nor local files nor a download: the message names the three remedies."""


class CorruptFile(ValueError):
    """A file is there but damaged or incomplete: the message names it and says how to replace it."""


class DiskFull(OSError):
    """Decoding or downloading ran out of disk space: the message names the folder and the space needed."""
