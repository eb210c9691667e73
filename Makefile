# make demo    invert a shipped face chunk by chunk; creates the environment first if it is not there
# make test    run the tests that need no GPU, browser or long time
# make check   ruff, mypy and doctests
# make bench   measure speed, memory and start-up, and keep them in docs/benchmarks (DEVICE=cuda on a GPU)
# make gpu     everything that wants a GPU: its tests, the trainings, the benchmarks
# make env     only the environment, in .venv (PYTHON=python3.12 picks the interpreter)

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEMO_OUT ?= runs/demo
DEVICE ?= cpu

.PHONY: demo test check bench gpu env clean

env: $(STAMP)

# torch goes first and alone: resolved beside the others, a range of theirs may bring another build of it.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/chunkygan invert examples/face_01.png --recipe invert_demo --out $(DEMO_OUT)

test: $(STAMP)
	$(BIN)/python -m pytest -m 'not slow and not gpu and not browser'

# mypy follows no mapped folders, so it reads a tree of links in which they lie where they are imported from.
check: $(STAMP)
	$(BIN)/ruff check .
	rm -rf build/types && mkdir -p build/types/chunkygan
	ln -s $(CURDIR)/chunkygan/* $(CURDIR)/components $(CURDIR)/recipes build/types/chunkygan/
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/setup.cfg --cache-dir ../mypy_cache -p chunkygan
	$(BIN)/python -m pytest -q tests/chunkygan/test_doctests.py

bench: $(STAMP)
	$(BIN)/chunkygan bench --standard --device $(DEVICE) --history docs/benchmarks

# The trainings take over from the weights that ship and replace them where they are better; look at the sheets in
# runs/gpu and read the cards in checkpoints/ again before committing.
gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu
	$(BIN)/chunkygan train train_generator --out runs/gpu/generator dataset.count=40000
	$(BIN)/chunkygan train train_generator_adversarial --out runs/gpu/adversarial trainer.precision=bf16-mixed \
		training.start=runs/gpu/generator/generator.safetensors training.cache=runs/gpu/generator/cache
	$(BIN)/python -m chunkygan.adopt procfaces_128_generator runs/gpu/generator runs/gpu/adversarial \
		--lowest frechet_procfaces
	$(BIN)/chunkygan train train_parser --out runs/gpu/parser training.cache=runs/gpu/generator/cache
	$(BIN)/python -m chunkygan.adopt procfaces_128_parser runs/gpu/parser
	$(BIN)/chunkygan train train_attributes --out runs/gpu/attributes training.cache=runs/gpu/generator/cache
	$(BIN)/python -m chunkygan.adopt procfaces_128_attributes runs/gpu/attributes
	$(BIN)/chunkygan train train_identity --out runs/gpu/identity
	$(BIN)/python -m chunkygan.adopt procfaces_128_identity runs/gpu/identity
	$(BIN)/chunkygan train train_seghead --out runs/gpu/seghead
	$(BIN)/python -m chunkygan.adopt procfaces_128_seghead runs/gpu/seghead
	$(MAKE) bench DEVICE=cuda

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
