"""What `helm test` runs in the operator's image: is the API served, and is the operator ready?

It holds a token that may do nothing beyond reading the list of served APIs, which every account may.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "/apis/squeezeserve.io/v1alpha1"
SECONDS = float(os.environ.get("TIMEOUT_SECONDS", "60"))


def fetch(url: str, headers: dict[str, str], context: ssl.SSLContext | None = None) -> bytes:
    """The body of a 200 answer, without any proxy; an OSError (urllib's included) otherwise."""
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with direct.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
        body: bytes = answer.read()
        return body


def crd_served() -> str:
    """Raises OSError or LookupError while the API server does not serve SqueezeModels."""
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    document = json.loads(fetch(os.environ["API_SERVER"] + API, headers, context))
    names = {resource["name"] for resource in document["resources"]}
    missing = {"squeezemodels", "squeezemodels/status"} - names
    if missing:
        raise LookupError(f"{API} does not serve {', '.join(sorted(missing))}")
    return f"the API server serves {API}/squeezemodels"


def operator_ready() -> str:
    """Raises OSError while the operator does not call itself ready."""
    fetch(os.environ["HEALTH_URL"], {})
    return f"{os.environ['HEALTH_URL']} answers 200"


def passes(check: Callable[[], str]) -> bool:
    """Try a check until it passes or the time is up; prints the outcome."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            print("ok:", check(), flush=True)
            return True
        except (OSError, LookupError) as error:
            if time.monotonic() >= deadline:
                print(f"FAILED: {check.__name__}: {error}", flush=True)
                return False
            time.sleep(1)


if __name__ == "__main__":
    outcomes = [passes(check) for check in (crd_served, operator_ready)]
    sys.exit(0 if all(outcomes) else 1)
