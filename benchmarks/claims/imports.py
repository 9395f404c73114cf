"""What `import ilpyt` costs."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from claims.measure import Row

PARTS = "import ilpyt, ilpyt.envs, ilpyt.nets, ilpyt.runners, ilpyt.agents, ilpyt.algos"


def imports(_turns: int, _seconds: float) -> Iterator[Row]:
    """What `import ilpyt` and its parts cost on top of `import torch`."""

    def time_of(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    for claim, code in (("import ilpyt", "import ilpyt"), ("import ilpyt and all of its parts", PARTS)):
        extra = [time_of(f"import torch; {code}") - time_of("import torch") for _ in range(9)]
        own, spread = f"{statistics.median(extra):.2f} s over import torch", f"({min(extra):.2f} to {max(extra):.2f})"
        row = Row(claim, own, "", spread, "0.3 s at most", {"seconds": extra})
        print(row, flush=True)
        yield row
