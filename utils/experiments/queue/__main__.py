"""The queue in the folder of the code that it uses; people call ``python -m utils.experiments queue``."""

import sys

from utils.experiments.queue.command import inside

if __name__ == "__main__":
    sys.exit(inside())
