"""The most memory (resident set) that a process has had since a moment."""

import pathlib
import re


class Peak:
    def __init__(self, pid):
        self.folder = pathlib.Path(f"/proc/{pid}")
        (self.folder / "clear_refs").write_text("5")  # the peak is from now on
        self.before = self._kib()

    def _kib(self):
        return int(re.search(r"VmHWM:\s+(\d+) kB", (self.folder / "status").read_text())[1])

    def growth(self):
        """By how many MiB the peak since then exceeds what it had then."""
        return (self._kib() - self.before) / 1024
