"""The published code's classifier is read out of its pickle, and a pickle that would run something does not."""

import copyreg
import io
import pickle
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from provenance.errors import InputError
from provenance.neuron_lists.pickled_classifier import is_pickle
from provenance.neuron_lists.read_lists import NeuronSet, read_neurons

LAYERS, D_M = 3, 5


def fitted(**settings: Any) -> LogisticRegression:
    """A probe in which one feature speaks for each class and most weights are zero."""
    X = np.random.default_rng(0).random((80, LAYERS * D_M)).astype(np.float32)
    y = (X[:, 7] - X[:, 3] > 0.2).astype(int)
    return LogisticRegression(**{"l1_ratio": 1, "solver": "liblinear", "random_state": 42, **settings}).fit(X, y)


def dumped(model: object, how: int | str) -> bytes:
    """By pickle in a protocol, or by joblib."""
    if isinstance(how, int):
        return pickle.dumps(model, how)
    out = io.BytesIO()
    joblib.dump(model, out)
    return out.getvalue()


def read(folder: Path, content: bytes, *, allow: bool = True) -> NeuronSet:
    path = folder / "detector.pkl"
    path.write_bytes(content)
    return read_neurons(path, LAYERS, D_M, allow_pickle=allow)


@pytest.mark.parametrize("how", [2, 3, 4, 5, "joblib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_the_weights_are_those_of_the_classifier(tmp_path: Path, how: int | str, order: str, kind: str) -> None:
    """Every weight that is not zero at layer * d_m + index, and the intercept, to the last bit."""
    model = fitted()
    model.coef_ = model.coef_.astype(f"{order}{kind}")
    found = read(tmp_path, dumped(model, how))
    (weights,) = model.coef_.astype(np.float64)
    assert found.ids.tolist() == np.flatnonzero(weights).tolist()
    assert 0 < found.ids.size < weights.size
    assert found.weights is not None
    assert found.weights.tolist() == weights[found.ids].tolist()
    assert [divmod(flat, D_M) for flat in found.ids.tolist()] == list(zip(found.layers, found.index, strict=True))
    assert found.h_ids.tolist() == [7]
    assert found.negative_ids.tolist() == np.flatnonzero(weights < 0).tolist()
    assert 3 in found.negative_ids
    assert found.intercept == model.intercept_[0]
    assert found.format == "sklearn-pickle"


def test_the_published_codes_own_settings_can_be_read(tmp_path: Path) -> None:
    """Which older versions of scikit-learn took: penalty="l1", 1,000 iterations, verbose; and no intercept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `penalty` goes in later versions
        model = fitted(max_iter=1000, class_weight={0: 1.0, 1: np.float64(2)})
    model.penalty, model.verbose = "l1", 1
    assert read(tmp_path, dumped(model, "joblib")).ids.tolist() == np.flatnonzero(model.coef_).tolist()
    without = fitted(fit_intercept=False)
    assert read(tmp_path, dumped(without, 4)).intercept == 0.0


def test_a_pickle_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    """Even a harmless one; the error says why, and how to go on."""
    for how in (2, 4, 5, "joblib"):
        with pytest.raises(InputError, match="can run code") as caught:
            read(tmp_path, dumped(fitted(), how), allow=False)
        assert "--allow-pickle" in caught.value.remedy


class Trap:
    """Whoever unpickles it the usual way writes a file."""

    def __init__(self, call: Callable[..., object], *args: object) -> None:
        self._call = (call, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def traps(victim: Path) -> dict[str, object]:
    """Pickles that try it as themselves, and hidden in a classifier."""
    write = Trap(exec, f"open({str(victim)!r}, 'w').close()")
    model = fitted()
    model.class_weight = {0: write}
    listed = fitted()
    listed.coef_ = [write, listed.coef_]
    return {"alone": write, "in a setting": model, "in the weights": listed, "in a list": [fitted(), write]}


@pytest.mark.parametrize("how", [0, 2, 4, 5, "joblib"])
@pytest.mark.parametrize("kind", ["alone", "in a setting", "in the weights", "in a list"])
def test_a_pickle_that_tries_to_run_code_does_not_run(tmp_path: Path, how: int | str, kind: str) -> None:
    """Neither by default nor behind the flag; the library's own loader does run it, which shows that the trap works."""
    victim = tmp_path / "ran"
    content = dumped(traps(victim)[kind], how)
    for allow in (False, True):
        with pytest.raises(InputError):
            read(tmp_path, content, allow=allow)
        assert not victim.exists()
    joblib.load(io.BytesIO(content)) if how == "joblib" else pickle.loads(content)  # noqa: S301
    assert victim.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system; nothing of the file was run"),
        (b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "builtins.eval"),
        (b"\x80\x02(ios\nsystem\n.", "os.system"),
        (b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.", "os.system"),
        (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        (
            b"\x80\x02cprovenance.neuron_lists.pickled_classifier\npickle.loads\n.",
            "provenance.neuron_lists.pickled_classifier.pickle.loads",
        ),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "persistent"),
        (b"\x80\x02\x82\x01.", "extension"),
        (b"\x80\x02cnumpy\ndtype\n}X\x04\x00\x00\x00argsK\x01sb.", "a state for type"),
        (b"\x80\x02]}X\x05\x00\x00\x00stateK\x01sb.", "a state for list"),
        (b"\x80\x02X\x01\x00\x00\x00a)R.", "not callable"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "9223372036854775807 bytes"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", ""),
        (b"\x80\x04K\x01.", "int"),
        (b"\x80\x04}.", "dict"),
        (b"\x80\x04.", ""),
        (b"\x80", ""),
        (b"\x80\x04", ""),
    ],
)
def test_what_is_no_classifier_is_refused_and_nothing_is_called(tmp_path: Path, content: bytes, found: str) -> None:
    """By every opcode that could reach a function, an attribute or more memory than there is."""
    assert is_pickle(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    assert found in caught.value.found


def test_registered_extensions_reach_nothing_either(tmp_path: Path) -> None:
    """Codes that a library registered are names like others."""
    copyreg.add_extension("os", "system", 200)
    try:
        with pytest.raises(InputError, match=r"os\.system"):
            read(tmp_path, b"\x80\x02\x82\xc8X\x04\x00\x00\x00true\x85R.")
    finally:
        copyreg.remove_extension("os", "system", 200)


def with_attribute(name: str, value: object) -> LogisticRegression:
    model = fitted()
    setattr(model, name, value)
    return model


def weights_with(value: float) -> np.ndarray:
    weights = fitted().coef_.copy()
    weights[0, 4] = value
    return weights


@pytest.mark.parametrize("how", [4, 5, "joblib"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_pipeline(StandardScaler(), fitted()), "transformed features"),
        (lambda: Ridge().fit(np.eye(3), [0, 1, 2]), "sklearn.linear_model._ridge.Ridge"),
        (lambda: fitted().sparsify(), r"densify\(\)"),
        (LogisticRegression, "never fitted"),
        (lambda: fitted().coef_, "a fitted LogisticRegression"),
        (lambda: with_attribute("coef_", np.ones((2, LAYERS * D_M))), r"found: \(2, 15\)"),
        (lambda: with_attribute("coef_", np.ones((1, LAYERS * D_M + 1))), r"found: \(1, 16\)"),
        (lambda: with_attribute("coef_", np.ones(LAYERS * D_M)), r"found: \(15,\)"),
        (lambda: with_attribute("coef_", np.ones((LAYERS * D_M, 1)).T.astype("c16")), "dtype c16"),
        (lambda: with_attribute("coef_", [1.0] * 15), "coef_ as a numpy array"),
        (lambda: with_attribute("coef_", None), "coef_ as a numpy array"),
        (lambda: with_attribute("coef_", np.zeros((1, LAYERS * D_M))), "neurons in"),
        (lambda: with_attribute("coef_", -np.ones((1, LAYERS * D_M))), "none of them positive"),
        (lambda: with_attribute("coef_", weights_with(np.nan)), "a finite number as weight on weight 4"),
        (lambda: with_attribute("coef_", weights_with(-np.inf)), "a finite number as weight on weight 4"),
        (lambda: with_attribute("intercept_", np.ones(2)), "one intercept"),
        (lambda: with_attribute("intercept_", np.array([np.nan])), "a finite number as intercept"),
        (lambda: with_attribute("intercept_", "0"), "intercept_ as a numpy array"),
    ],
)
def test_what_is_no_probe_of_this_checkpoint_is_refused(
    tmp_path: Path, how: int | str, make: Callable[[], object], words: str
) -> None:
    """In words that say what it is instead."""
    with pytest.raises(InputError, match=words):
        read(tmp_path, dumped(make(), how))


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    """Its content would be a further pickle."""
    model = with_attribute("coef_", np.array([[1.0, "a"]], dtype=object))
    for how in (2, 4, 5, "joblib"):
        with pytest.raises(InputError):
            read(tmp_path, dumped(model, how))


@pytest.mark.slow
@pytest.mark.parametrize("how", [2, 4, 5, "joblib"])
def test_a_pickle_that_was_cut_short_is_refused_wherever_the_cut_is(tmp_path: Path, how: int | str) -> None:
    """Half a classifier is never taken for one."""
    content = dumped(fitted(), how)
    for length in range(2, len(content)):
        with pytest.raises(InputError):
            read(tmp_path, content[:length])


@pytest.mark.costly
@pytest.mark.parametrize("how", [2, 4, 5, "joblib"])
def test_a_pickle_with_a_wrong_byte_is_read_or_refused_and_nothing_else(tmp_path: Path, how: int | str) -> None:
    """Whatever the byte makes of it."""
    content, rng = bytearray(dumped(fitted(), how)), np.random.default_rng(3)
    for place, value in zip(rng.integers(2, len(content), 400), rng.integers(0, 256, 400), strict=True):
        harmed = content.copy()
        harmed[place] = value
        with suppress(InputError):
            assert read(tmp_path, bytes(harmed)).ids.size > 0


@pytest.mark.parametrize("method", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_compressed_file_is_named_as_one(tmp_path: Path, method: str) -> None:
    """What it unpacks to has no bound, so it is not unpacked to see."""
    out = io.BytesIO()
    joblib.dump(fitted(), out, compress=(method, 3))
    for allow in (False, True):
        with pytest.raises(InputError, match="compressed by") as caught:
            read(tmp_path, out.getvalue(), allow=allow)
        assert "joblib.dump" in caught.value.remedy


def test_a_text_that_begins_like_a_compressed_file_is_a_text(tmp_path: Path) -> None:
    """The letter x is what zlib begins with."""
    assert zlib.compress(b"0" * 99)[:1] == b"x"
    with pytest.raises(InputError, match="a header of layer, index"):
        read(tmp_path, b"x^y,layer,index\n1,0,1\n")


def test_a_sparse_matrix_is_not_looked_into(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing of the file was run"):
        read(tmp_path, pickle.dumps(csr_matrix(np.eye(2))))
