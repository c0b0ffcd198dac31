"""KServe model server for SqueezeNet image classifiers.

The network itself (weights, preprocessing, engines) lives in `squeezenet`; this package adds what a
server needs around it: protocols, limits, admission, metrics and an orderly start and end.
"""
