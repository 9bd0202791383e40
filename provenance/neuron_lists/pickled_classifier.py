"""The classifier of the published code: a scikit-learn LogisticRegression, pickled or dumped by joblib.

A pickle is a program; this module runs it among stand-ins that do nothing. Every class or function it names is looked
up in `_KNOWN`, whose stand-ins only keep their arguments; any other name ends the reading. No code of scikit-learn,
numpy, joblib or another package is imported or called for a file; numbers are read out of the bytes afterwards.

    weight of (layer, index) = coef_[0, layer * d_m + index]

Zeros are left out: an L1 penalty leaves most weights at zero, and a neuron without weight is not part of the probe.

Source: the published code of Gao et al. 2025 (thunlp/H-Neurons), which writes `joblib.dump(LogisticRegression)`
over features flattened layer by layer, with hallucinated answers as the second class.
"""

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from provenance.errors import InputError
from provenance.neuron_lists.listed_neurons import CUT_SHORT, OTHER_CHECKPOINT, Listed, Named, Sizes

FORMAT = "sklearn-pickle"
WARNING = (
    "pickles can run code when they are loaded; this one is read by a reader that knows a LogisticRegression and "
    "refuses everything else, but a JSON or CSV list from its publisher is the safer thing to pass on"
)
_TEXT_PICKLE = re.compile(rb"\(?[ci][\w.]+\n[\w.]+\n")  # protocols 0 and 1 that begin with a class or a function
_COMPRESSED = {
    b"\x78": "zlib", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x5d\x00\x00": "lzma",
    b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip",
}  # fmt: skip
_REMEDIES = {
    "sklearn.pipeline": "its weights are those of transformed features: write them as layer,index,weight yourself",
    "sklearn.preprocessing": "its weights are those of transformed features: write them as layer,index,weight yourself",
    "scipy.sparse": "call densify() on the classifier and save it again",
    "cop": "save the classifier again with joblib.dump(classifier, FILE)",  # copyreg, of pickle protocols 0 and 1
}
_UNKNOWN = "do not load this file elsewhere unless you know what it does; ask its publisher for JSON or CSV"
_NUMBERS = re.compile(r"[fiub][1248]")
_MALFORMED = (
    pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError, OverflowError,
    MemoryError, AssertionError, struct.error,
)  # fmt: skip
"""Errors that the standard unpickler raises for malformed or truncated pickles."""


class _StandIn:
    """Inert replacement for an object of the file: keeps its arguments and state."""

    __slots__ = ("args", "state")

    def __new__(cls, *args: object) -> "_StandIn":  # noqa: PYI034 - the shape checker of the tests cannot read Self
        made = super().__new__(cls)
        made.args = args
        made.state = None
        return made

    args: tuple[object, ...]
    state: Any


class _Estimator(_StandIn):
    """A LogisticRegression; its state is the dictionary of its attributes."""


class _Dtype(_StandIn):
    """A numpy dtype: made from its code; its state has the byte order."""


class _Array(_StandIn):
    """A numpy array of protocols up to 4; its state is version, shape, dtype, order, and bytes."""


class _Buffer(_StandIn):
    """A numpy array of protocol 5: made from bytes, dtype, shape, and order."""


class _Raw(_StandIn):
    """A numpy array as joblib dumps it; its state has shape and dtype, the bytes follow in the file."""


class _Coded(_StandIn):
    """Bytes of protocol 2: made from a text and its encoding."""


class _Other(_StandIn):
    """Irrelevant objects: the class ndarray, numpy scalars among the settings."""


_KNOWN: dict[tuple[str, str], type[_StandIn]] = {
    ("sklearn.linear_model._logistic", "LogisticRegression"): _Estimator,
    ("sklearn.linear_model.logistic", "LogisticRegression"): _Estimator,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Raw,
    ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"): _Raw,
    ("_codecs", "encode"): _Coded,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Other,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Other for core in ("core", "_core")},
}


def is_pickle(data: bytes) -> bool:
    """Whether bytes begin as a pickle does."""
    return (data[:1] == pickle.PROTO and data[1:2] <= b"\x05") or _TEXT_PICKLE.match(data) is not None


def refuse_compressed(data: bytes, where: str) -> None:
    """Refuse a compressed file, possibly a joblib dump: its unpacked size has no bound.

    Raises:
        InputError: It begins as a compressed file.
    """
    start = data[:200]
    is_text = start.isascii() and b"\0" not in start  # a text may begin with the x that zlib begins with
    packed = None if is_text else next((name for magic, name in _COMPRESSED.items() if data.startswith(magic)), None)
    if packed is not None:
        raise InputError(
            f"a neuron list in {where} as it is, or a plain pickle",
            found=f"a file compressed by {packed}",
            remedy="decompress it, or save the classifier again with joblib.dump(classifier, FILE)",
        )


def refused_pickle(where: str) -> InputError:
    """Error: a pickle that the user has not allowed."""
    return InputError(
        f"a neuron list as JSON or CSV in {where}",
        found="a pickle, which can run code when it is loaded",
        remedy="ask its publisher for a JSON or CSV list, or convert it if you trust its source: "
        "provenance neurons import FILE --for CHECKPOINT --allow-pickle --out LIST.json",
    )


def read_pickle(data: bytes, where: str, sizes: Sizes) -> Listed:
    """Neurons with a weight in a pickled LogisticRegression, fitted on a checkpoint of these sizes.

    Raises:
        InputError: It is malformed, cut short, holds or calls anything but a LogisticRegression of two classes, or has
            another number of weights than the checkpoint has neurons.
    """
    try:
        found = _Reader(data, where).load()
    except _MALFORMED as error:
        words = f"{type(error).__name__}: {error}"
        raise InputError(f"a whole pickle in {where}", found=words[:200], remedy=CUT_SHORT) from error
    state = found.state if isinstance(found, _Estimator) else None
    if not isinstance(state, dict) or "coef_" not in state:
        what = "one that was never fitted" if isinstance(found, _Estimator) else type(found).__name__.lstrip("_")
        remedy = "save the fitted classifier itself, alone in its file"
        raise InputError(f"a fitted LogisticRegression in {where}", found=what, remedy=remedy)
    weights = _weights(state["coef_"], where, sizes)
    return Listed(FORMAT, _named(weights, where, sizes), {}, _intercept(state.get("intercept_"), where))


def _intercept(value: object, where: str) -> object:
    """The intercept; scikit-learn stores a plain number instead of an array if none was fitted."""
    if value is None or isinstance(value, int | float):
        return value
    values = _values(value, "intercept_", where)
    if values.size != 1:
        raise InputError(f"one intercept in {where}", found=str(values.size), remedy="save a two-class classifier")
    return float(values.flat[0])


def _weights(coefficients: object, where: str, sizes: Sizes) -> Float64[np.ndarray, " neurons"]:
    values = _values(coefficients, "coef_", where)
    if values.shape != (1, sizes.neurons):
        raise InputError(
            f"coef_ of shape (1, {sizes.neurons}) in {where}: a weight for each of {sizes.layers} layers × {sizes.d_m}",
            found=str(values.shape)[:200],
            remedy=OTHER_CHECKPOINT,
        )
    return values.ravel()


def _named(weights: Float64[np.ndarray, " neurons"], where: str, sizes: Sizes) -> list[Named]:
    flat = np.flatnonzero(weights)  # NaN counts as non-zero, and is refused later like everywhere
    return [
        Named(f"weight {neuron} of {where}", neuron // sizes.d_m, neuron % sizes.d_m, weight, neuron)
        for neuron, weight in zip(flat.tolist(), weights[flat].tolist(), strict=True)
    ]


def _values(array: object, name: str, where: str) -> Float64[np.ndarray, "..."]:
    """Numbers of an array, read from its bytes; InputError if their size does not fit its shape."""
    try:
        shape, dtype, content = _parts(array)
        if content is not None:
            flat = np.frombuffer(content, _numpy_dtype(dtype)).astype(np.float64)
            values: Float64[np.ndarray, "..."] = flat.reshape(shape)
            return values
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{name} as numbers in {where}", found=str(error)[:200], remedy=CUT_SHORT) from error
    raise InputError(
        f"{name} as a numpy array in {where}", found=type(array).__name__.lstrip("_"), remedy="call densify() first"
    )


def _parts(array: object) -> tuple[Any, Any, Any]:
    if isinstance(array, _Buffer):
        content, dtype, shape = array.args[:3]
    elif isinstance(array, _Array):
        _, shape, dtype, _, content = array.state
    elif isinstance(array, _Raw):
        shape, dtype, content = (array.state[key] for key in ("shape", "dtype", "bytes"))
    else:
        return None, None, None
    if isinstance(content, _Coded):
        text = content.args[0]
        content = text.encode("latin-1") if isinstance(text, str) else None
    return shape, dtype, content


def _numpy_dtype(dtype: object) -> np.dtype[Any]:
    code = dtype.args[0] if isinstance(dtype, _Dtype) and dtype.args else None
    if not isinstance(dtype, _Dtype) or not isinstance(code, str) or _NUMBERS.fullmatch(code) is None:
        raise ValueError(f"values of dtype {code if isinstance(code, str) else '?'}")
    order = dtype.state[1] if isinstance(dtype.state, tuple) else "="
    if order not in {"<", ">", "=", "|"}:
        raise ValueError("no byte order")
    return np.dtype(f"{order}{code}")


class _Reader(pickle._Unpickler):  # noqa: SLF001 - the one of the two that can be held back at every step, as joblib does
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[object], None]

    def __init__(self, data: bytes, where: str) -> None:
        self._raw = io.BytesIO(data)
        self._size = len(data)
        self._where = where
        super().__init__(self._raw)

    def find_class(self, module_name: str, global_name: str, /) -> type[_StandIn]:
        """Stand-in of a name; nothing is imported.

        Raises:
            InputError: There is none.
        """
        known = _KNOWN.get((module_name, global_name))
        if known is None:
            raise InputError(
                f"a LogisticRegression and nothing else in {self._where}",
                found=f"{module_name}.{global_name}"[:200] + "; nothing of the file was run",
                remedy=next((words for start, words in _REMEDIES.items() if module_name.startswith(start)), _UNKNOWN),
            )
        return known

    def _build(self) -> None:
        """Give an object its state; the standard library would set attributes on any object of the stack."""
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _StandIn):
            raise pickle.UnpicklingError(f"a state for {type(made).__name__}")
        made.state = state
        if isinstance(made, _Raw):
            made.state = {**state, "bytes": self._following(state)}

    def _following(self, state: dict[str, Any]) -> bytes:
        """Bytes that joblib writes behind an array's description, after its padding."""
        shape = state["shape"]
        if not all(isinstance(size, int) for size in shape):
            raise pickle.UnpicklingError("a shape of whole numbers")
        count = math.prod(shape, start=_numpy_dtype(state["dtype"]).itemsize)
        if state.get("numpy_array_alignment_bytes") is not None:
            self._raw.read(self._raw.read(1)[0])
        content = self._raw.read(count) if 0 <= count <= self._size else b""
        if len(content) != count:
            raise EOFError(f"an array of {count} bytes")
        return content

    def _byte_array(self) -> None:
        """Writable bytes; the standard library would allocate them before checking that they exist."""
        count = int.from_bytes(self.read(8), "little")
        content = self.read(count) if count <= self._size else b""
        if len(content) != count:
            raise EOFError(f"{count} bytes")
        self.append(content)

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.BYTEARRAY8[0]] = _byte_array
