"""Steps of random graphs that move elements around."""

from tests.fit.builder import MOST_ELEMENTS, Builder, count, size


def reshape(b: Builder, x: int) -> int:
    shape, output = b.shape(x), b.like(x)
    wanted = [1, count(shape)] if len(shape) != 2 else [1, 1, shape[0] * shape[1], 1]
    b.graph.tensors[output].shape = wanted
    b.graph.op("RESHAPE", [x, b.ints(wanted)], [output], "Reshape")
    return output


def squeeze(b: Builder, x: int) -> int | None:
    shape, output = b.shape(x), b.like(x)
    if len(shape) < 3 or 1 not in shape[1:]:
        return None
    axes = [axis for axis, side in enumerate(shape) if axis and side == 1]
    wanted = [side for axis, side in enumerate(shape) if axis not in axes]
    b.graph.tensors[output].shape = wanted if len(wanted) > 1 else [*wanted, 1]
    if len(wanted) == 1:
        axes.pop()
    b.graph.op("SQUEEZE", [x], [output], "Squeeze", SqueezeDims=axes)
    return output


def expand_dims(b: Builder, x: int) -> int | None:
    if len(b.shape(x)) != 2:
        return None
    output = b.like(x)
    b.graph.tensors[output].shape = [1, *b.shape(x)]
    b.graph.op("EXPAND_DIMS", [x, b.ints([0])], [output])
    return output


def pad(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4 or count(shape) > MOST_ELEMENTS // 4:
        return None
    output = b.like(x)
    b.graph.tensors[output].shape = [shape[0], shape[1] + 2, shape[2] + 1, shape[3]]
    inputs = [x, b.ints([[0, 0], [1, 1], [0, 1], [0, 0]])]
    code = b.rng.choice(("PAD", "PADV2", "MIRROR_PAD"))
    if code == "MIRROR_PAD" and (b.kind == "INT16" or min(shape[1:3]) < 2):
        code = "PAD"
    if code == "PADV2":
        inputs.append(b.like(x))
        b.graph.tensors[inputs[-1]].shape = [1]
        b.graph.tensors[inputs[-1]].data = bytes(size(b.kind))
    b.graph.op(code, inputs, [output], "MirrorPad" if code == "MIRROR_PAD" else None)
    return output


def concatenation(b: Builder, x: int) -> int | None:
    parts = b.rng.randint(2, 5)
    shape = b.shape(x)
    if count(shape) * parts > MOST_ELEMENTS:
        return None
    output = b.like(x)
    b.graph.tensors[output].shape = [*shape[:-1], shape[-1] * parts]
    axis = len(shape) - 1
    b.graph.op("CONCATENATION", [x] * parts, [output], "Concatenation", Axis=axis)
    return output


def pack_and_unpack(b: Builder, x: int) -> int | None:
    if len(b.shape(x)) > 3:
        return None
    packed = b.like(x)
    b.graph.tensors[packed].shape = [2, *b.shape(x)]
    b.graph.op("PACK", [x, x], [packed], "Pack", ValuesCount=2, Axis=0)
    parts = [b.like(x), b.like(x)]
    b.graph.op("UNPACK", [packed], parts, "Unpack", Num=2, Axis=0)
    return parts[0]


def split(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if shape[-1] % 2:
        return None
    parts = [b.like(x), b.like(x)]
    for part in parts:
        b.graph.tensors[part].shape = [*shape[:-1], shape[-1] // 2]
    axis = b.ints(len(shape) - 1)
    if b.rng.random() < 0.5:
        b.graph.op("SPLIT", [axis, x], parts, "Split", NumSplits=2)
    else:
        sizes = b.ints([shape[-1] // 2] * 2)
        b.graph.op("SPLIT_V", [x, sizes, axis], parts, "SplitV", NumSplits=2)
    return parts[1]


def take(b: Builder, x: int) -> int | None:
    """SLICE, STRIDED_SLICE or GATHER of a part."""
    shape, output = b.shape(x), b.like(x)
    wanted = [shape[0], *[b.rng.randint(1, side) for side in shape[1:]]]
    code = b.rng.choice(("SLICE", "STRIDED_SLICE", "GATHER", "GATHER_ND"))
    if code.startswith("GATHER") and b.kind != "INT16":
        wanted = [2, *shape[1:]]
        places = b.ints([0, 0] if code == "GATHER" else [[0], [0]])
        b.graph.tensors[output].shape = wanted
        b.graph.op(code, [x, places], [output], "Gather" if code == "GATHER" else None)
        return output if count(wanted) <= MOST_ELEMENTS else None
    b.graph.tensors[output].shape = wanted
    begin = b.ints([0] * len(shape))
    if code == "STRIDED_SLICE" and len(shape) <= 4:
        inputs = [x, begin, b.ints(wanted), b.ints([1] * len(shape))]
        b.graph.op("STRIDED_SLICE", inputs, [output], "StridedSlice")
    else:
        b.graph.op("SLICE", [x, begin, b.ints(wanted)], [output])
    return output


def transpose(b: Builder, x: int) -> int | None:
    shape, output = b.shape(x), b.like(x)
    order = list(range(len(shape)))
    b.rng.shuffle(order)
    b.graph.tensors[output].shape = [shape[axis] for axis in order]
    b.graph.op("TRANSPOSE", [x, b.ints(order)], [output])
    return output


def resize(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4 or count(shape) > MOST_ELEMENTS // 4:
        return None
    nearest = b.kind == "INT16" or b.rng.random() < 0.5
    sides = [shape[1] * 2, shape[2] * 2]
    output = b.like(x)
    b.graph.tensors[output].shape = [shape[0], *sides, shape[3]]
    name = "ResizeNearestNeighbor" if nearest else "ResizeBilinear"
    code = "RESIZE_NEAREST_NEIGHBOR" if nearest else "RESIZE_BILINEAR"
    b.graph.op(code, [x, b.ints(sides)], [output], name)
    return output


def space_and_depth(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if b.kind == "INT16" or len(shape) != 4:
        return None
    output = b.like(x)
    if shape[3] % 4 == 0:
        b.graph.tensors[output].shape = [shape[0], shape[1] * 2, shape[2] * 2, shape[3] // 4]
        b.graph.op("DEPTH_TO_SPACE", [x], [output], "DepthToSpace", BlockSize=2)
    elif shape[1] % 2 == 0 and shape[2] % 2 == 0:
        b.graph.tensors[output].shape = [shape[0], shape[1] // 2, shape[2] // 2, shape[3] * 4]
        b.graph.op("SPACE_TO_DEPTH", [x], [output], "SpaceToDepth", BlockSize=2)
    else:
        return None
    return output


def space_and_batch(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if b.kind == "INT16" or len(shape) != 4 or shape[1] % 2 or shape[2] % 2:
        return None
    batches, output = b.like(x), b.like(x)
    b.graph.tensors[batches].shape = [shape[0] * 4, shape[1] // 2, shape[2] // 2, shape[3]]
    block, crops = b.ints([2, 2]), b.ints([[0, 0], [0, 0]])
    b.graph.op("SPACE_TO_BATCH_ND", [x, block, crops], [batches])
    b.graph.op("BATCH_TO_SPACE_ND", [batches, block, crops], [output])
    return output


def reverse_or_broadcast(b: Builder, x: int) -> int | None:
    """BROADCAST_ARGS ends in its output: BROADCAST_TO takes a constant shape only."""
    shape, output = b.shape(x), b.like(x)
    if b.rng.random() < 0.5:
        b.graph.op("REVERSE_V2", [x, b.ints([len(shape) - 1])], [output])
    else:
        both = b.tensor([len(shape)], "INT32")
        b.graph.op("BROADCAST_ARGS", [b.ints(shape), b.ints(shape)], [both])
        b.graph.op("BROADCAST_TO", [x, b.ints(shape)], [output])
    return output


def fill_and_update(b: Builder, x: int) -> int | None:
    """A tensor filled with one number, into which the data are written."""
    if b.kind == "INT16":
        return None
    shape, filled, output = b.shape(x), b.like(x), b.like(x)
    number = b.like(x)
    b.graph.tensors[number].shape = []
    b.graph.tensors[number].data = bytes(size(b.kind))
    b.graph.op("FILL", [b.ints(shape), number], [filled])
    start = b.ints([0] * len(shape))
    b.graph.op("DYNAMIC_UPDATE_SLICE", [filled, x, start], [output])
    return output


def embedding_lookup(b: Builder, x: int) -> int | None:
    """A branch of its own that starts from constant places."""
    if b.kind == "INT16":
        return None
    rows, width, places = b.rng.randint(1, 9), b.rng.randint(1, 30), b.rng.randint(1, 5)
    table = b.tensor([rows, width], data=bytes(rows * width * size(b.kind)))
    output = b.tensor([places, width])
    b.graph.op("EMBEDDING_LOOKUP", [b.ints([0] * places), table], [output])
    return output
