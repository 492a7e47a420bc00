"""A small dense network and its training, in numpy.

All numbers are float64, and the random generator is one whose stream numpy never changes
(RandomState). Processors sum a matrix product in different orders; the differences must be
so small that the rounding to int8 and float32 removes them, so that the file is the same.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from int8_tflite import Array, Dense

BATCH = 32
LEARNING_RATE = 0.05
MOMENTUM = 0.9


def train(
    pictures: Array,
    labels: Array,
    hidden: Sequence[int],
    classes: int,
    epochs: int,
    random: np.random.RandomState,
) -> list[Dense]:
    """Stochastic gradient descent with momentum on the cross-entropy. `pictures`
    [n, inputs], `labels` [n] in 0…classes-1, `hidden` the widths of the hidden layers,
    which have RELU. Returns the layers; the last gives logits."""
    layers = _untrained((pictures.shape[1], *hidden, classes), random)
    wanted = np.eye(classes)[labels]
    # Each layer's arrays are stepped in place, each with the velocity it keeps.
    velocities = [(np.zeros_like(layer.weights), np.zeros_like(layer.bias)) for layer in layers]
    for _ in range(epochs):
        order = random.permutation(len(pictures))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            gradients = _gradients(layers, pictures[batch], wanted[batch])
            for layer, moving, gradient in zip(layers, velocities, gradients, strict=True):
                _step(layer.weights, moving[0], gradient[0])
                _step(layer.bias, moving[1], gradient[1])
    return layers


def _untrained(widths: Sequence[int], random: np.random.RandomState) -> list[Dense]:
    """Weights with variance 2 / inputs, which keeps the size of a signal through RELU
    (He et al. 2015, arXiv:1502.01852, equation 10)."""
    return [
        Dense(random.standard_normal((given, out)) * np.sqrt(2 / given), np.zeros(out))
        for given, out in pairwise(widths)
    ]


def _gradients(layers: list[Dense], pictures: Array, wanted: Array) -> list[tuple[Array, Array]]:
    """For each layer the gradients of its weights and its bias."""
    activations = [pictures]
    for layer in layers[:-1]:
        activations.append(np.maximum(activations[-1] @ layer.weights + layer.bias, 0))
    logits = activations[-1] @ layers[-1].weights + layers[-1].bias
    error = (_softmax(logits) - wanted) / len(pictures)
    gradients = []
    for layer, given in zip(reversed(layers), reversed(activations), strict=True):
        gradients.append((given.T @ error, error.sum(axis=0)))
        error = (error @ layer.weights.T) * (given > 0)
    return gradients[::-1]


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _step(values: Array, velocity: Array, gradient: Array) -> None:
    velocity *= MOMENTUM
    velocity -= LEARNING_RATE * gradient
    values += velocity
