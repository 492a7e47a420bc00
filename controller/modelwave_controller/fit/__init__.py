"""What a .tflite model really needs on a microcontroller: TFLM's own allocator, replayed.

fit = analyse(data, "cortex-m4:cmsis-nn")
fit.need        the smallest arena, in bytes; None if refused or unknown
fit.layers      the memory operator by operator
fit.boxes       where each tensor lies in the arena, and when

flatbuffer, model    reading the file, everything checked
lifetimes, planner   when tensors are alive, and where the plan puts them
node, reference, cmsis_nn, kernels.toml
                     what each kernel asks for: a new one is a row and a small function
sizes.toml           TFLM's structures by ABI
refusals             what TFLM does not take, one row each
arena, replay        AllocateTensors, allocation by allocation
"""

from modelwave_controller.fit.analysis import Box, Fit, Layer, analyse
from modelwave_controller.fit.errors import ModelError
from modelwave_controller.fit.profiles import PROFILES, Profile

__all__ = ["PROFILES", "Box", "Fit", "Layer", "ModelError", "Profile", "analyse"]
