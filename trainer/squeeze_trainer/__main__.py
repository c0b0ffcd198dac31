"""`python -m squeeze_trainer train | finetune | test`: what torchrun starts in each process."""

from __future__ import annotations

import sys

from squeezenet.cli import main

if __name__ == "__main__":
    sys.exit(main())
