"""Values and gradients of the losses that methods.txt does not hold: python3 further_methods.py > further_methods.txt

Each loss is written as its formula reads, at 60 digits (mpmath), and differentiated numerically at that
precision, so nothing is shared with the analytic gradients of the library. Printed to 17 digits.
Batches have three rows; a gradient is that of the mean loss, by row.
"""

from mpmath import exp, fsum, log, mp, mpf, sqrt

mp.dps = 60

ROWS = [["2", "-1", "0.5", "0.1"], ["0.3", "1.7", "-0.4", "1.1"], ["-2.5", "0.2", "3.1", "0.6"]]
ROWS = [[mpf(v) for v in row] for row in ROWS]
LABELS = [0, 2, 2]
TEACHER = [[mpf(v) for v in row] for row in [["3", "0", "1", "-1"], ["0", "1", "2", "0.5"], ["1", "1", "-1", "0"]]]
K = 4


def softmax(z):
    e = [exp(v) for v in z]
    return [v / fsum(e) for v in e]


def ce(z, y):
    return -log(softmax(z)[y])


def kl(t, s):
    return fsum(a * log(a / b) for a, b in zip(t, s) if a)


def sigmoid(v):
    return 1 / (1 + exp(-v))


def bce(z, y, w=mpf(1)):
    t = [mpf(1) if k == y else mpf(0) for k in range(K)]
    return -fsum(w * a * log(sigmoid(v)) + (1 - a) * log(1 - sigmoid(v)) for a, v in zip(t, z)) / K


def online(z, y):
    return ce(z, y) / 2 - fsum(log(p) for p in softmax(z)) / K / 2


def logit_norm(z, y, tau=mpf("0.04")):
    length = sqrt(fsum(v * v for v in z)) + mpf("1e-7")
    return ce([v / (tau * length) for v in z], y)


def tf_kd(z, y, code=False, alpha=mpf("0.1"), tau=mpf(20), a=mpf("0.99")):
    t = [a if k == y else (1 - a) / (K - 1) for k in range(K)]
    if code:
        return (1 - alpha) * ce(z, y) + alpha * kl(softmax([v / tau for v in t]), softmax(z)) / K
    powers = [v ** (1 / tau) for v in t]
    return (1 - alpha) * ce(z, y) + alpha * kl([v / fsum(powers) for v in powers], softmax([v / tau for v in z]))


def distillation(z, y, row, alpha=mpf("0.9"), temp=mpf(4)):
    t = softmax([v / temp for v in TEACHER[row]])
    return (1 - alpha) * ce(z, y) + alpha * temp**2 * kl(t, softmax([v / temp for v in z]))


def focal(z, y, gamma):
    p = softmax(z)[y]
    return -((1 - p) ** gamma) * log(p)


def flsd53(z, y):
    return focal(z, y, 5 if softmax(z)[y] < mpf("0.2") else 3)


def symmetric(z, y):
    p = softmax(z)
    reverse = -fsum(p[k] * (log(mpf("1e-4")) if k != y else 0) for k in range(K))
    return mpf("0.1") * ce(z, y) + reverse


def hxe(z, y, alpha=mpf("0.1")):
    # Four classes halved twice: every class is two edges from the root.
    p = softmax(z)
    pair = p[0] + p[1] if y < 2 else p[2] + p[3]
    return -exp(-2 * alpha) * log(p[y] / pair) - exp(-alpha) * log(pair)


def mlslr(z, y, alpha=mpf("0.1")):
    q = [(1 - alpha) * (k == y) + alpha / K for k in range(K)]
    return -fsum(a * log((1 - alpha) * p + alpha / K) for a, p in zip(q, softmax(z)))


def confidence_hinged(z, y, beta=mpf("0.1"), gamma=mpf(1)):
    p = softmax(z)
    return ce(z, y) + beta * max(mpf(0), gamma + fsum(v * log(v) for v in p))


def mbls_sum(z, y, margin=mpf(1), lam=mpf("0.1")):
    return ce(z, y) + lam * fsum(max(mpf(0), max(z) - v - margin) for v in z)


def zipf_all(z, y, lam=mpf("0.1")):
    rank = [1 + sum(b > a for b in z) for a in z]
    others = [k for k in range(K) if k != y]
    t = [1 / mpf(rank[k]) for k in others]
    p = softmax([z[k] for k in others])
    return ce(z, y) + lam * kl([v / fsum(t) for v in t], p)


def zipf_votes(z, y, row, lam=mpf("0.1")):
    votes = TEACHER[row]
    others = [k for k in range(K) if k != y]
    t = [1 / mpf(1 + sum(votes[j] > votes[k] for j in others)) for k in others]
    p = softmax([z[k] for k in others])
    return ce(z, y) + lam * kl([v / fsum(t) for v in t], p)


def zipf_right(z, y, row):
    others = [k for k in range(K) if k != y]
    ranks = [1 + sum(z[j] > z[k] for j in others) for k in others]
    t = [1 / mpf(r) for r in ranks]
    right = z.index(max(z)) == y
    p = softmax([z[k] for k in others])
    return ce(z, y) + (mpf("0.1") * kl([v / fsum(t) for v in t], p) if right else 0)


def sigmoid_focal(z, y, gamma=mpf(2), alpha=mpf("0.25"), smooth=mpf(0)):
    loss = mpf(0)
    for k in range(K):
        t = (1 - smooth) * (k == y) + smooth / 2
        p = sigmoid(z[k])
        p_t = t * p + (1 - t) * (1 - p)
        a_t = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
        loss -= a_t * (1 - p_t) ** gamma * (t * log(p) + (1 - t) * log(1 - p))
    return loss / K


def confidence_code(z, y, beta=mpf("0.1")):
    return ce(z, y) + beta / K * fsum(p * log(p) for p in softmax(z))


def mdca(rows, beta=mpf(1), gamma=1):
    n = len(rows)
    p = [softmax(z) for z in rows]
    gaps = [abs(fsum(p[i][c] - (LABELS[i] == c) for i in range(n)) / n) for c in range(K)]
    return fsum(focal(z, y, gamma) for z, y in zip(rows, LABELS)) / n + beta * fsum(gaps) / K


def mmce(rows, code=False, lam=mpf(1), b=mpf("0.4")):
    n = len(rows)
    c = [max(softmax(z)) for z in rows]
    r = [(1 if z.index(max(z)) == y else 0) - v for z, y, v in zip(rows, LABELS, c)]
    q = fsum(r[i] * r[j] * exp(-abs(c[i] - c[j]) / b) for i in range(n) for j in range(n)) / n**2
    return fsum(ce(z, y) for z, y in zip(rows, LABELS)) / n + lam * (q if code else sqrt(q))


def mean(f):
    return lambda rows: fsum(f(z, y) for z, y in zip(rows, LABELS)) / len(rows)


CASES = {
    "binary_cross_entropy": mean(bce),
    "binary_cross_entropy_weighted": mean(lambda z, y: bce(z, y, mpf(3))),
    "online_label_smoothing": mean(online),
    "logit_norm": mean(logit_norm),
    "tf_kd": mean(tf_kd),
    "tf_kd_code": mean(lambda z, y: tf_kd(z, y, code=True)),
    "distillation": lambda rows: fsum(distillation(z, LABELS[i], i) for i, z in enumerate(rows)) / len(rows),
    "flsd53": mean(flsd53),
    "symmetric_cross_entropy": mean(symmetric),
    "hierarchical_cross_entropy": mean(hxe),
    "mlslr": mean(mlslr),
    "confidence_hinged": mean(confidence_hinged),
    "mbls_sum": mean(mbls_sum),
    "zipf_all": mean(zipf_all),
    "zipf_votes": lambda rows: fsum(zipf_votes(z, LABELS[i], i) for i, z in enumerate(rows)) / len(rows),
    "zipf_right": lambda rows: fsum(zipf_right(z, LABELS[i], i) for i, z in enumerate(rows)) / len(rows),
    "sigmoid_focal": mean(sigmoid_focal),
    "sigmoid_focal_unbalanced": mean(lambda z, y: sigmoid_focal(z, y, mpf("1.5"), None)),
    "confidence_code": mean(confidence_code),
    "mdca": mdca,
    "mmce": mmce,
    "mmce_code": lambda rows: mmce(rows, code=True),
}

STEP = mpf(10) ** -20


def derivative(f, i, k):
    def moved(by):
        rows = [list(row) for row in ROWS]
        rows[i][k] += by
        return f(rows)

    return (moved(STEP) - moved(-STEP)) / (2 * STEP)


for name, f in CASES.items():
    gradient = [derivative(f, i, k) for i in range(len(ROWS)) for k in range(K)]
    print(name, mp.nstr(f(ROWS), 17), *(mp.nstr(g, 17) for g in gradient))
