# make run and make test set up everything that they need. The other targets are for development.

HEADWATER_INSTANCE ?= instance
SAMPLE := $(HEADWATER_INSTANCE)/sample.db
PACKAGES := auth deploy/doctor encoders exports headwater journal server sockets sources state streaming topics wire
# The packages that have a module, and the entries: mypy refuses an empty folder.
TYPED := $(wildcard *.py) $(patsubst %/,%,$(sort $(dir $(wildcard $(addsuffix /*.py,$(PACKAGES))))))
PIP_COMPILE := CUSTOM_COMPILE_COMMAND="make requirements" .venv/bin/python -m piptools compile --quiet \
	--generate-hashes 	--strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options

# Two pips must not install into one .venv at once.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help run test check bench soak sample requirements clean environment environment-dev \
	checks screenshots browser browser-dev tools

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

run: environment checks browser ## set up what is missing, then serve http://127.0.0.1:8000
	@# A user's own catalogue needs no sample.
	@test -n "$$HEADWATER_CATALOGUE" || setup/sample.sh "$(SAMPLE)"
	@exec .venv/bin/gunicorn -c gunicorn.conf.py wsgi:app

test: environment-dev sample tools browser-dev ## set up what is missing, then run the tests
	@# In their own order: the longest files have few tests, and pytest-xdist would run them last.
	@.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: environment-dev ## check formatting, lint and types, then run the tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy --strict $(TYPED)
	@$(MAKE) --no-print-directory test

bench: environment-dev sample ## measure the whole server over loopback
	@.venv/bin/python -m benchmarks

soak: environment-dev browser-dev ## test feeds for SOAK_S s, FUZZ_CASES requests, EXPORT_CASES exports
	@.venv/bin/python -m pytest tests/system/soak.py tests/system/fuzz.py \
		tests/system/slow_clients.py tests/exports/export_soak.py

screenshots: environment-dev sample browser-dev ## take pictures of every view, into docs/screenshots
	@.venv/bin/python -m tests.browser.screenshots

sample: environment ## build the sample database
	@setup/sample.sh "$(SAMPLE)"

requirements: environment-dev ## compile requirements*.txt again from requirements*.in
	$(PIP_COMPILE) --upgrade --output-file requirements.txt requirements.in
	$(PIP_COMPILE) --upgrade --output-file requirements-dev.txt requirements-dev.in

clean: ## remove .venv and the caches; the instance folder stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules static/vendor
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@setup/environment.sh requirements.txt

environment-dev:
	@setup/environment.sh requirements.txt requirements-dev.txt

# Reports a wrong setting, address or catalogue before anything else is downloaded or served.
checks: environment
	@.venv/bin/python gunicorn.conf.py
	@test -z "$$HEADWATER_CATALOGUE" || .venv/bin/flask --app wsgi catalogue

browser:
	@setup/browser.sh

browser-dev:
	@setup/browser.sh tests

tools:
	@setup/tools.sh curl aria2c wget logrotate unzip 7z bsdtar node npm chromium nginx
