"""SqueezeTraining: the same gather, decide and apply as for a SqueezeModel, towards an Indexed Job."""
