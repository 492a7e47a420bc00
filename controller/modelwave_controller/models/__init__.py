"""What an operator asks of a model file before it is shipped.

inspection   what it takes of a target's flash and RAM, and whether it fits
firmware     what TFLM's code takes beside it
host         what it takes on a Linux host, where nobody counts bytes
advice       what would make it fit
peak, plot   the arena over time, as a picture
layers       a table of layers in place of a file, for `estimate`
export       the file as a C array
edgetpu      what was compiled into a model for Coral's Edge TPU
needs        what a release's manifest says of all this
"""
