"""Calibrated probabilities by other means: python3 calibration_maps.py > calibration_maps.json

NumPy, SciPy and scikit-learn only; every map is fitted here from its published definition by a general
optimiser (or by scikit-learn where it has the map), so nothing is shared with the library's own solvers.
Two sets: three classes and two. `probs` are those of the rows of `test`.
"""

import json

import numpy as np
import scipy
import sklearn
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, gammaln, log_softmax, logsumexp, softmax
from sklearn.isotonic import IsotonicRegression

FLOOR = 1e-6


def data(k, n, seed):
    rng = np.random.default_rng(seed)
    true = 1.5 * rng.normal(size=(n, k))
    p = softmax(true, axis=1)
    y = np.array([rng.choice(k, p=row) for row in p])
    # Over-confident, with classes that are rated unevenly.
    z = 1.8 * true + 0.3 * np.arange(k) + 0.2 * rng.normal(size=(n, k))
    return np.round(z, 6), y


def nll(z, y, w):
    return -(w * log_softmax(z, axis=1)[np.arange(len(y)), y]).sum() / w.sum()




def gradient_fit(x, y, w, diagonal, lam, mu):
    n, k = x.shape
    onehot = np.eye(k)[y]
    off = 1 - np.eye(k)

    def split(t):
        return (np.diag(t[:k]), t[k:]) if diagonal else (t[: k * k].reshape(k, k), t[k * k :])

    def f(t):
        m, b = split(t)
        value = nll(x @ m.T + b, y, w) + lam / (k * (k - 1)) * (off * m**2).sum() + mu / k * (b**2).sum()
        r = w[:, None] * (softmax(x @ m.T + b, axis=1) - onehot) / w.sum()
        gm = r.T @ x + 2 * lam / (k * (k - 1)) * off * m
        gb = r.sum(0) + 2 * mu / k * b
        return value, np.concatenate([np.diag(gm) if diagonal else gm.ravel(), gb])

    start = np.concatenate([np.ones(k) if diagonal else np.eye(k).ravel(), np.zeros(k)])
    t = minimize(f, start, jac=True, method="BFGS", options={"gtol": 1e-11, "maxiter": 5000}).x
    return split(t)


def temperature(z, y, w):
    found = minimize_scalar(lambda t: nll(z / np.exp(t), y, w), bounds=(-5, 5), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x))


def log_odds(z):
    out = np.empty_like(z)
    for k in range(z.shape[1]):
        out[:, k] = z[:, k] - logsumexp(np.delete(z, k, axis=1), axis=1)
    return out


def one_vs_rest(z, y, test, fit):
    """fit(scores, is_class, test_scores) -> probabilities; class 1 alone for two classes."""
    s, t = log_odds(z), log_odds(test)
    if z.shape[1] == 2:
        p = fit(s[:, 1], (y == 1).astype(float), t[:, 1])
        return np.column_stack([1 - p, p])
    p = np.column_stack([fit(s[:, k], (y == k).astype(float), t[:, k]) for k in range(z.shape[1])])
    return p / p.sum(1, keepdims=True)


def beta(w):
    def fit(s, y, t):
        def features(s):
            return np.column_stack([-np.logaddexp(0, -s), np.logaddexp(0, s), np.ones_like(s)])

        x = features(s)

        def f(theta):
            m = x @ theta
            value = (w * (np.logaddexp(0, m) - y * m)).sum() / w.sum()
            return value, (x * (w * (expit(m) - y))[:, None]).sum(0) / w.sum()

        found = minimize(f, [1, 1, 0], jac=True, method="L-BFGS-B", bounds=[(0, None), (0, None), (None, None)],
                         options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10000})
        return expit(features(t) @ found.x)

    return fit


def platt(w):
    def fit(s, y, t):
        positive, negative = (w * y).sum(), (w * (1 - y)).sum()
        target = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))

        def f(theta):
            m = theta[0] * s + theta[1]
            value = (w * (np.logaddexp(0, m) - target * m)).sum() / w.sum()
            r = w * (expit(m) - target) / w.sum()
            return value, np.array([(r * s).sum(), r.sum()])

        a, b = minimize(f, [1, 0], jac=True, method="BFGS", options={"gtol": 1e-12}).x
        return expit(a * t + b)

    return fit


def isotonic(w):
    def fit(s, y, t):
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(s, y, w)
        # Clip the corners, then interpolate: what the map stores.
        return np.interp(t, curve.X_thresholds_, np.clip(curve.y_thresholds_, FLOOR, 1 - FLOOR))

    return fit


def cuts(values, n_bins):
    """Edges between chunks of numpy.array_split, at the middle of the neighbours."""
    chunks = [c for c in np.array_split(np.sort(values), n_bins) if len(c)]
    return np.array([(a[-1] + b[0]) / 2 for a, b in zip(chunks, chunks[1:])])


def histogram(w, n_bins, mass):
    def fit(s, y, t):
        p, q = expit(s), expit(t)
        edges = cuts(p, n_bins) if mass else np.arange(1, n_bins) / n_bins
        full = np.concatenate([[0], edges, [1]])
        value = []
        for b in range(len(full) - 1):
            inside = (p > full[b]) & (p <= full[b + 1])
            value.append(np.average(y[inside], weights=w[inside]) if inside.any() else (full[b] + full[b + 1]) / 2)
        return np.clip(value, FLOOR, 1 - FLOOR)[np.searchsorted(edges, q, side="left")]

    return fit


def scaling_binning(w, n_bins):
    def fit(s, y, t):
        scale = platt(w)
        p, q = scale(s, y, s), scale(s, y, t)
        edges = cuts(p, n_bins)
        where = np.searchsorted(edges, p, side="left")
        value = np.array([np.average(p[where == b], weights=w[where == b]) for b in range(len(edges) + 1)])
        return value[np.searchsorted(edges, q, side="left")]

    return fit


def bbq(w):
    def fit(s, y, t):
        p, q = expit(s), expit(t)
        n = len(p)
        low, high = max(1, int(np.floor(n ** (1 / 3) / 10))), min(n, int(np.ceil(10 * n ** (1 / 3))))
        scores, values = [], []
        for n_bins in range(low, high + 1):
            edges = cuts(p, n_bins)
            full = np.concatenate([[0], edges, [1]])
            strength = 2 / (len(full) - 1)
            score, theta = 0.0, []
            where, count = np.searchsorted(edges, p, side="left"), len(full) - 1
            for b in range(count):
                total, hits = w[where == b].sum(), (w * y)[where == b].sum()
                a = strength * (full[b] + full[b + 1]) / 2
                c = strength - a
                score += gammaln(strength) - gammaln(total + strength) + gammaln(hits + a) - gammaln(a)
                score += gammaln(total - hits + c) - gammaln(c)
                theta.append((hits + a) / (total + strength))
            scores.append(score)
            values.append(np.array(theta)[np.searchsorted(edges, q, side="left")])
        share = softmax(scores)
        return (share[:, None] * np.array(values)).sum(0)

    return fit


def spline(z, y, w, test):
    p, q = softmax(z, axis=1), softmax(test, axis=1)
    s, correct = p.max(1), (p.argmax(1) == y).astype(float)
    order = np.argsort(s)
    share = w[order] / w.sum()
    t = np.cumsum(share)
    h = np.cumsum(share * (correct[order] - s[order]))
    knots = np.linspace(0, 1, 6)
    basis = [CubicSpline(knots, e, bc_type="natural") for e in np.eye(6)]
    root = np.sqrt(share)
    coefficients = np.linalg.lstsq(np.column_stack([b(t) for b in basis]) * root[:, None], h * root, rcond=None)[0]
    slope = sum(c * b(t, 1) for c, b in zip(coefficients, basis))
    corrected = np.clip(s[order] + slope, FLOOR, 1 - FLOOR)
    out = q.copy()
    for row in range(len(q)):
        top = q[row].argmax()
        rest = 1 - q[row, top]
        second = np.delete(q[row], top).max() / rest
        value = max(np.interp(q[row, top], s[order], corrected), second / (1 + second))
        out[row] *= (1 - value) / rest
        out[row, top] = value
    return out


def ensemble(z, y, w, test):
    t = temperature(z, y, w)
    k = z.shape[1]

    def parts(z):
        return np.stack([softmax(z / t, axis=1), softmax(z, axis=1), np.full_like(z, 1 / k)])

    f = parts(z)[:, np.arange(len(y)), y]
    found = minimize(lambda v: -(w * np.log(v @ f)).sum() / w.sum(), np.full(3, 1 / 3), method="SLSQP", bounds=[(0, 1)] * 3,
                     constraints={"type": "eq", "fun": lambda v: v.sum() - 1}, options={"ftol": 1e-15, "maxiter": 1000})
    return np.tensordot(found.x, parts(test), 1)


def p_norm(z, p):
    centred = z - z.mean(1, keepdims=True)
    return centred.max(1) / np.linalg.norm(centred, ord=p, axis=1)


def case(k, n, seed):
    z, y = data(k, n, seed)
    test, _ = data(k, 40, seed + 1)
    rng = np.random.default_rng(seed + 2)
    out = {"n_classes": k, "logits": z.ravel().tolist(), "labels": y.tolist(), "test": test.ravel().tolist(), "sets": []}
    for weights in (np.ones(n), np.round(rng.uniform(0.2, 2, n), 6)):
        w = weights
        probs = {}
        t = temperature(z, y, w)
        probs["temperature"] = softmax(test / t, axis=1)
        m, b = gradient_fit(z, y, w, True, 0, 0)
        probs["vector"] = softmax(test @ m.T + b, axis=1)
        m, b = gradient_fit(z, y, w, False, 1, 1)
        probs["matrix"] = softmax(test @ m.T + b, axis=1)
        m, b = gradient_fit(z, y, w, False, 0, 0)
        probs["matrix:off_diagonal=0,bias=0"] = softmax(test @ m.T + b, axis=1)
        m, b = gradient_fit(log_softmax(z, axis=1), y, w, False, 0.5, 0.1)
        probs["dirichlet:off_diagonal=0.5,bias=0.1"] = softmax(log_softmax(test, axis=1) @ m.T + b, axis=1)
        for name, fit in {
            "platt": platt(w),
            "beta": beta(w),
            "isotonic": isotonic(w),
            "histogram": histogram(w, 15, False),
            "histogram:binning=equal_mass,n_bins=10": histogram(w, 10, True),
            "scaling_binning": scaling_binning(w, 15),
            "bbq": bbq(w),
        }.items():
            probs[name] = one_vs_rest(z, y, test, fit)
        probs["spline"] = spline(z, y, w, test)
        probs["ensemble_temperature"] = ensemble(z, y, w, test)
        out["sets"].append({"weights": w.tolist(), "probs": {name: p.ravel().tolist() for name, p in probs.items()}})
    out["p_norm_3"] = p_norm(test, 3).tolist()
    return out


versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
print(json.dumps({"versions": versions, "cases": [case(3, 400, 11), case(2, 300, 21)]}))
