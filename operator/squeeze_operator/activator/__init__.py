"""Answers for models that sleep: holds requests until a replica is ready, and hands them on.

It stands behind a model's Service only while no replica runs or none is busy, so requests of a model that is
awake do not pass through it.
"""
