"""Trains, fine-tunes and tests SqueezeNet: a program for one process, or for several under torchrun.

``settings`` says what is asked for; ``listing``, ``shards`` and ``splits`` find the pictures; ``dataset`` and
``sampler`` bring them to the network; ``loop`` trains, ``evaluate`` measures, ``checkpoint`` remembers, and
``runs`` puts them together. Preprocessing for validation and test is serving's own,
:mod:`squeezenet.preprocess`.

Everything random follows from (seed, place in the run), never from a generator's history: so a resumed run
draws what the uninterrupted one would have drawn, and the number of loading processes changes nothing.
"""
