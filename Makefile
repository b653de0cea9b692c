# `make demo` and `make test` are all there is to know; each makes .venv first.
# TORCH=cpu  take PyTorch's CPU wheels (small, no CUDA)     PYTHON=…  the Python that makes .venv
# SERVE=0    let the demo stop before it serves the app     DATA=…    digits, shapes or a folder of images

.PHONY: setup demo test check app
setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt scripts/setup
	@TORCH="$(TORCH)" PYTHON="$(PYTHON)" scripts/setup

demo: setup
	@.venv/bin/workbench demo $(if $(DATA),--data "$(DATA)") $(if $(filter 0,$(SERVE)),--no-serve)

test: setup
	OMP_NUM_THREADS=1 .venv/bin/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/pyright
	.venv/bin/lint-imports --no-logo

app: setup
	@.venv/bin/workbench app
