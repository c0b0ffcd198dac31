"""What computes logits: OpenVINO on CPUs, PyTorch on GPUs, NumPy as the judge of both."""
