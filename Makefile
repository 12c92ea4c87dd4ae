# Every target sets itself up: it needs python3 (3.10 or newer) with venv, make and a package index, the first time only.
#   UNPINNED=1   leaves constraints.txt aside          TORCH="torch==2.11.* torchvision"   another torch
#   PYTHON=...   another interpreter for .venv         ARGS=...                            words for the command behind the target
PYTHON ?= python3
ARGS ?=
SHELL := /bin/sh
bin := .venv/bin
export UNPINNED TORCH PYTHON
in_venv := PATH="$(CURDIR)/$(bin):$$PATH"
.DEFAULT_GOAL := help
.PHONY: help reproduce test lab docs e2e setup

help:  ## show this list
	@echo "diffrep_nb: a survey of diffusion models and representation learning, made executable"
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

reproduce: ## run every chapter (quick, embedded data), show the claims, build the site
	@.ci/setup dev
	@$(in_venv) $(bin)/diffrep run --profile quick $(ARGS)
	@$(in_venv) $(bin)/diffrep docs
	@echo && echo "claims of these runs (profile quick)" && $(bin)/diffrep report --runs quick
	@echo && echo "claims of the ledger" && $(bin)/diffrep report
	@echo && echo "made: _runs/quick/ (executed chapters), data/results/report.md (claims), the site (see above)"

test: ## the laws, every chapter, tests/ without a browser; ends with N passed, N failed
	@.ci/setup dev peers
	@$(in_venv) $(bin)/diffrep test $(ARGS)

lab: ## open the chapters in JupyterLab
	@.ci/setup dev
	@$(in_venv) $(bin)/jupyter lab --notebook-dir=nbs $(ARGS)

docs: ## build the site from the saved outputs
	@.ci/setup dev
	@$(in_venv) $(bin)/diffrep docs $(ARGS)

e2e: ## the browser tests (installs chromium through apt where there is none)
	@.ci/setup dev e2e
	@.ci/chromium
	@$(in_venv) $(bin)/diffrep test --only browser --strict $(ARGS)

setup: ## only make .venv with everything that test and e2e need
	@.ci/setup dev peers e2e
