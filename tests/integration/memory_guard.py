"""Ends a test process whose tree has taken most of the machine's memory.

Without swap the machine would not kill it but read its programs from the disk again and again, and come to a
halt for hours, with nothing to say which test it was.
"""

import faulthandler
import os
import sys
import threading
import time

import psutil

LIMIT = psutil.virtual_memory().total // 2
EVERY_SECONDS = 1.0


def taken() -> int:
    """Bytes of memory of this process and all below it."""
    process, found = psutil.Process(), 0
    for each in (process, *process.children(recursive=True)):
        try:
            found += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return found


def start(limit: int = LIMIT) -> None:
    """Watch from a thread; beyond `limit` bytes, tell where every thread is and end at once."""

    def watch() -> None:
        while taken() < limit:
            time.sleep(EVERY_SECONDS)
        print(f"this test and its processes take over {limit / 2**30:.1f} GiB", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(file=2)
        children = psutil.Process().children(recursive=True)
        for child in children:
            child.kill()
        psutil.wait_procs(children, timeout=10)
        os._exit(1)

    threading.Thread(target=watch, name="memory guard", daemon=True).start()
