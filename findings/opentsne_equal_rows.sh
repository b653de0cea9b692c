#!/usr/bin/env bash
# openTSNE 1.0.4: where rows of the data are equal, images become their own neighbours.
#
# t-SNE defines p_ii = 0. One would expect the diagonal of openTSNE's affinities to be zero for any data, and the method
# of the neighbour search to change little. The default method from 1,000 rows on (Annoy) drops the first hit of each
# row as "the row itself"; of equal rows the first hit is the one of the lowest index. Every other row of an equal pair
# so loses its twin and becomes its own neighbour: that part of the affinities pulls nothing.
#
# Exits 0 while this is seen, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check openTSNE==1.0.4 numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from openTSNE.affinity import PerplexityBasedNN

rows = np.repeat(np.random.default_rng(0).normal(size=(600, 10)), 2, axis=0)  # 600 different rows, each twice
print("openTSNE", version("openTSNE"))
print("guess: p_ii = 0 for all of 1,200 rows, by either method")
on_diagonal = {}
for method in ("exact", "annoy"):
    affinities = PerplexityBasedNN(rows, perplexity=30, method=method, random_state=0).P
    diagonal = affinities.diagonal()
    on_diagonal[method] = diagonal.sum() / affinities.sum()
    print(f"seen, {method}: p_ii > 0 for {np.sum(diagonal > 0)} rows, {100 * on_diagonal[method]:.1f} % of all affinity")
sys.exit(0 if on_diagonal["exact"] == 0 and on_diagonal["annoy"] > 0.1 else 1)
PYTHON
