"""Measures the predictor against the limit of the machine and against other servers, side by side."""
