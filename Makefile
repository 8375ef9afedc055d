# make book: the HTML book from nothing.  make test: every test from nothing.  make lab: JupyterLab, on the introduction.
# make student URL=…: the edition without solutions, NBGRADER=1 for nbgrader.  make instructors: answers and marking guide.
# make format: the layout of the code, which make test looks at first.  make contents: the pages made from the labs' metadata.
# make queue: the recorded runs that are due, for HOURS hours, behind all other work.
PYTHON ?= python3
PROFILE ?= smoke
HOURS ?= 8
# a relative path is counted from here; not by $(abspath), which splits at spaces
ifneq ($(value CNNLAB_DATA),)
FIRST := $(firstword $(value CNNLAB_DATA))
export CNNLAB_DATA := $(if $(filter /% \% ~%,$(FIRST))$(findstring :,$(FIRST)),,$(CURDIR)/)$(value CNNLAB_DATA)
endif
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready

.PHONY: book test format contents lab student instructors site publish-site publish-student weekly weekly-issue queue stamp \
	strip bench clean

book: $(READY)
	@$(BIN)/python -m utils.publishing book --profile $(PROFILE)

test: $(READY)
	@$(BIN)/python -m utils.publishing test

format: $(READY)
	$(BIN)/python -m ruff format utils tests book conftest.py
	$(BIN)/python -m ruff check --fix utils tests book conftest.py
	$(BIN)/python -m ruff format --isolated --line-length 88 labs

contents: $(READY)
	$(BIN)/python -m utils.publishing contents

lab: $(READY)
	@$(BIN)/python -m utils.course

student: $(READY)
	$(BIN)/python -m utils.publishing student $(if $(URL),--url "$(URL)") $(if $(BRANCH),--branch "$(BRANCH)") \
		$(if $(TO),--to "$(TO)") $(if $(filter-out 0,$(NBGRADER)),--nbgrader) $(if $(GRADING),--grading "$(GRADING)")

instructors: $(READY)
	$(BIN)/python -m utils.publishing instructors

# the book that was built last, put into _build/site (or SITE), at its root or as VERSION=v1.2
site: $(READY)
	$(BIN)/python -m utils.publishing site $(if $(VERSION),--version "$(VERSION)") $(if $(SITE),--to "$(SITE)")

# the same, with what was published before, pushed to the branch `site` of this repository
publish-site: $(READY)
	$(BIN)/python -m utils.publishing publish-site $(if $(VERSION),--version "$(VERSION)")

# the student edition, pushed to the repository that STUDENT_REPOSITORY names; nothing where it names none
publish-student: $(READY)
	$(BIN)/python -m utils.publishing publish-student --url "$(STUDENT_REPOSITORY)" $(if $(BRANCH),--branch "$(BRANCH)") $(if $(filter-out 0,$(NBGRADER)),--nbgrader)

# all labs on the newest packages, in an environment of its own
weekly:
	$(PYTHON) -m utils.publishing.weekly

# what failed then, written into an issue of the repository on GitHub
weekly-issue:
	$(PYTHON) -m utils.publishing.weekly --issue

queue: $(READY)
	$(BIN)/python -m utils.experiments queue --hours $(HOURS) $(if $(ACROSS),--across)

stamp: $(READY)
	$(BIN)/python -m utils.publishing stamp $(if $(URL),--url $(URL)) $(if $(BRANCH),--branch $(BRANCH))

strip: $(READY)
	$(BIN)/python -m utils.publishing strip

bench: $(READY)
	$(BIN)/python tests/benchmarks/bench_training.py $(if $(WRITE),--write)

# the environment; made again when a requirement changes
$(READY): requirements.txt constraints.txt
	@$(PYTHON) -m utils.publishing.install

clean:
	rm -rf _build
