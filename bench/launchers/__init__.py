"""The predictor, started with a change that only a measurement needs."""
