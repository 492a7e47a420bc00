"""Inspects model files before they are released.

inspection   the flash and RAM that a model needs on a target, and whether it fits
firmware     the flash and RAM of TFLM's code beside the model
host         the RAM on a Linux host, as a documented estimate
advice       changes that would make a model fit
peak, plot   the arena over time, as a picture
layers       reads a list of layers in place of a file, for `estimate`
estimate     estimates a model's needs from such a list
export       writes the file as a C array
edgetpu      reads the part that was compiled for Coral's Edge TPU
needs        fills in the needs that a release's manifest states
"""
