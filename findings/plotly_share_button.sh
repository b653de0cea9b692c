#!/usr/bin/env bash
# plotly 7.1.0 (plotly.js 4.1.1): every exported figure has a button that sends its data to Plotly's cloud.
#
# One would expect a figure written by `to_html` to stay on its machine unless asked: up to plotly 6 the button was off
# and had to be asked for by `showSendToCloud`. Now it is on, "Share chart..." in the mode bar, with the address of
# Plotly's cloud as its target, and `to_html` does not turn it off. A tool that shows its users' data passes
# `showSendToCloud: false`, or a list of buttons of its own.
#
# Exits 0 while this is seen, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 6.5.0 7.1.0; do
  "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/$version" "plotly==$version"
  "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target "$folder/$version" narwhals packaging
done
cat > "$folder/read.py" <<'PYTHON'
import re
from importlib.metadata import version

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs, get_plotlyjs_version

library = get_plotlyjs()
default = {}
for option in ("showSendToCloud", "plotlyServerURL"):
    (default[option],) = re.findall(option + r":\{valType:\"\w+\",dflt:([^}]*)\}", library)
page = go.Figure(go.Scatter(y=[1, 2])).to_html(include_plotlyjs=False)
turned_off = "showSendToCloud" in page
print(version("plotly"), get_plotlyjs_version(), default["showSendToCloud"], default["plotlyServerURL"], turned_off)
PYTHON
echo "guess: off (!1) in both, or turned off by to_html"
for version in 6.5.0 7.1.0; do
  PYTHONPATH="$folder/$version" "${PYTHON:-python3}" "$folder/read.py" | tee "$folder/$version.txt"
done
grep -q '!1 .* False$' "$folder/6.5.0.txt" && grep -q '!0 "https://cloud.plotly.com.* False$' "$folder/7.1.0.txt"
