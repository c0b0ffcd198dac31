"""The SqueezeNet image classifier as a library: artifacts, preprocessing, engines, labels.

No server lives here, and importing this package imports neither PyTorch nor Pillow: each module brings in
only what it needs, so that a process on another engine never pays for PyTorch.
"""
