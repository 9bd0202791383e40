"""Data for the L1 probe, and its objective and optimality conditions written down the slow way."""

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from provenance.probe.l1_path import Fit, L1Path, Problem

KINDS = ("dense", "factors", "duplicated", "separable")


def make(kind: str, *, rows: int = 120, neurons: int = 60, balanced: bool = False, seed: int = 0) -> tuple:
    """Values, rows × neurons, and labels; the first neurons carry a signal."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(rows) < rows // (2 if balanced else 4)
    if kind == "factors":  # positive, log-normal, moving together, of very different sizes
        common = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, neurons))
        x = np.exp(rng.normal(-4.5, 1, neurons) + 0.3 * common + 0.2 * rng.normal(size=(rows, neurons)))
        x[labels, :4] *= 1.3
    else:
        x = rng.normal(size=(rows, neurons)) if kind == "dense" else rng.gamma(2.0, 0.01, (rows, neurons))
        x[labels, :4] += {"dense": 0.7, "duplicated": 0.008, "separable": 0.2}[kind]
    if kind == "duplicated":
        x[:, neurons // 2 :] = x[:, : neurons - neurons // 2]
    return x.astype(np.float32), labels


def path_of(x: np.ndarray, labels: np.ndarray, **options: object) -> L1Path:
    """The path of one problem on all rows."""
    return L1Path(np.ascontiguousarray(x.T), [everything(labels)], **options)


def everything(labels: np.ndarray) -> Problem:
    """All rows."""
    return Problem(labels, np.ones(labels.size, dtype=bool))


def weights_of(fit: Fit, neurons: int) -> np.ndarray:
    """Theta of all neurons."""
    theta = np.zeros(neurons)
    theta[fit.ids] = fit.weights
    return theta


def objective(x: np.ndarray, labels: np.ndarray, theta: np.ndarray, b: float, C: float, penalised: bool) -> float:
    """P(theta, b)."""
    scores = x.astype(np.float64) @ theta + b
    losses = [np.logaddexp(0, -f if t else f) for f, t in zip(scores, labels, strict=True)]
    return float(C * sum(losses) + np.abs(theta).sum() + penalised * abs(b))


def kkt(x: np.ndarray, labels: np.ndarray, theta: np.ndarray, b: float, C: float, penalised: bool) -> float:
    """The largest violation of the optimality conditions, from the derivative of the loss, in float64."""
    wide = np.column_stack([x.astype(np.float64), np.ones(len(x))])
    signs = np.where(labels, 1.0, -1.0)
    all_weights = np.append(theta, b)
    downhill = C * wide.T @ (signs * np.exp(-np.logaddexp(0, signs * (wide @ all_weights))))
    worst = np.where(all_weights != 0, np.abs(downhill - np.sign(all_weights)), np.maximum(np.abs(downhill) - 1, 0))
    worst[-1] = worst[-1] if penalised else abs(downhill[-1])
    return float(worst.max())


def by_liblinear(x: np.ndarray, labels: np.ndarray, C: float) -> tuple[np.ndarray, float]:
    """Theta and b, the intercept penalised; what the published code calls, run on until it stops moving."""
    model = LogisticRegression(solver="liblinear", l1_ratio=1.0, C=C, tol=1e-9, max_iter=200_000, random_state=0)
    model.fit(x.astype(np.float64), labels)
    return model.coef_[0], float(model.intercept_[0])


def by_splitting(
    x: np.ndarray, labels: np.ndarray, C: float, penalised: bool, start: tuple[np.ndarray, float] | None = None
) -> tuple[np.ndarray, float]:
    """Theta and b by a general optimiser on the smooth form theta = u - v with u, v >= 0."""
    scale = np.append(np.abs(x).mean(axis=0, dtype=np.float64), 1.0)
    wide = np.column_stack([x.astype(np.float64), np.ones(len(x))]) / scale
    signs, cost = np.where(labels, 1.0, -1.0), np.append(np.ones(x.shape[1]), float(penalised)) / scale
    size = 1.0 / (C * len(x))  # of the objective, so that the optimiser's own tolerances mean something

    def value(uv: np.ndarray) -> tuple[float, np.ndarray]:
        u, v = np.split(uv, 2)
        margins = signs * (wide @ (u - v))
        slope = -C * wide.T @ (signs * np.exp(-np.logaddexp(0, margins)))
        total = C * np.logaddexp(0, -margins).sum() + cost @ (u + v)
        return float(size * total), size * np.concatenate([slope + cost, cost - slope])

    first = np.zeros(wide.shape[1]) if start is None else np.append(*start) * scale
    bounds = [(0, None)] * (2 * wide.shape[1])
    uv = np.concatenate([np.maximum(first, 0), np.maximum(-first, 0)])
    options = {"maxiter": 50_000, "maxfun": 10**6, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30}
    for _ in range(3):  # each time with fresh curvature
        uv = minimize(value, uv, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    u, v = np.split(uv, 2)
    weights = (u - v) / scale
    return weights[:-1], float(weights[-1])
