"""The built-in network: SqueezeNet 1.1 trained from nothing on scikit-learn's handwritten digits.

``data`` turns the data set into pictures and splits, ``training`` trains, ``evaluation`` measures through the
path that serving uses. Nothing here is imported when a model is served.
"""
