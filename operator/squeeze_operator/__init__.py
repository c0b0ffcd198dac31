"""The SqueezeServe operator: turns a SqueezeModel into a KServe InferenceService and reports on it.

Data flows one way: watch events put a model's key into a queue; a worker gathers the model and its children
into a snapshot, decides what should be, and applies it. Nothing here serves or loads a network.
"""
