"""Checks the host names that KServe will make, so that a name too long is reported before KServe fails.

KServe renders its domainTemplate even where ingress creation is off (kserve#4807).
"""

import re

from squeeze_operator.names import MAX_LABEL, Key, predictor_name

_FIELD = re.compile(r"{{-?\s*\.(\w+)\s*-?}}")


def too_long(key: Key, template: str) -> str | None:
    """What to change where a DNS label gets longer than 63 characters; None where all fit.

    A template that uses more than .Name, .Namespace and .IngressDomain is not judged.
    """
    values = {"Name": predictor_name(key.name), "Namespace": key.namespace, "IngressDomain": "localhost"}
    rest = _FIELD.sub(lambda field: values.get(field[1], "{{"), template)
    if "{{" in rest:
        return None
    label = max(rest.split("."), key=len)
    excess = len(label) - MAX_LABEL
    if excess <= 0:
        return None
    return (
        f"KServe's host name for this model has the part {label!r} of {len(label)} characters, and "
        f"DNS allows {MAX_LABEL}: shorten metadata.name or the namespace's name by {excess} characters in all"
    )
