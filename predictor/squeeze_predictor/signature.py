"""The names that V2 has for what this model gives. Imports nothing, so that a description costs no SDK."""

from __future__ import annotations

JSON_LENGTH = "Inference-Header-Content-Length"
"""The header that says where binary tensors begin."""
OUTPUT_TYPES = {"class_id": "INT64", "probability": "FP32", "label": "BYTES"}
