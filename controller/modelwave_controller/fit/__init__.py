"""Computes the memory that a .tflite model needs on a microcontroller, by replaying the
allocations of TFLM (TensorFlow Lite for Microcontrollers).

fit = analyse(data, "cortex-m4:cmsis-nn")
fit.need        the smallest arena, in bytes; None if refused or unknown
fit.layers      the memory operator by operator
fit.boxes       where each tensor lies in the arena, and when

flatbuffer, flexbuffer, model
                     read the file and check everything in it
lifetimes, planner   when tensors are alive, and where the plan puts them
node, reference, weighted, signal, detection, cmsis_nn, helium, esp_nn, kernels.toml
                     what each kernel allocates; a new kernel is a row and a small function
sizes.toml           the sizes of TFLM's structures, by ABI
refusals, recurrent, signature, shapes
                     what TFLM refuses, one row each
variables            the state that a streaming model keeps
arena, replay        AllocateTensors, allocation by allocation
"""

from modelwave_controller.fit.analysis import Box, Fit, Layer, analyse
from modelwave_controller.fit.errors import ModelError
from modelwave_controller.fit.profiles import PROFILES, Profile

__all__ = ["PROFILES", "Box", "Fit", "Layer", "ModelError", "Profile", "analyse"]
