# Everything a person types. `make run` and `make test` work straight after a clone, with Rust and what Debian's packages give.

ARGS ?=

.PHONY: run test test-cli test-clients soak lint fmt bench fuzz tools

run: tools ## Start the server; ARGS="--listen 0.0.0.0:5000" passes arguments on
	cargo build --release
	@cargo run --release --quiet -- serve $(ARGS)

test: tools ## Run the whole test suite
	@command -v python3 >/dev/null || { echo "The tests run small apps with python3: sudo apt-get install python3" >&2; exit 1; }
	@command -v git >/dev/null || { echo "The tests push with git: sudo apt-get install git" >&2; exit 1; }
	cargo test

test-cli: tools ## Drive the official heroku CLI against a server; SCENARIOS="apps ps" runs some, UPDATE_GOLDEN=1 writes them anew
	tests/cli/run $(SCENARIOS)

test-clients: tools ## Drive other published clients: heroku3, heroku-client, the MCP server, curl, git
	tests/clients/run $(SCENARIOS)

soak: tools ## Kill, reboot, fill disks, cut the power at random moments, a thousand times; ROUNDS=50 is quicker
	SOAK_ROUNDS=$(or $(ROUNDS),1000) cargo test --test it soak:: -- --nocapture

lint: tools ## What CI asks before the tests
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

fmt:
	cargo fmt

.PHONY: test-docs
test-docs: tools ## Type every command of the documentation; those with the official CLI need npm, which installs it under target
	@ls target/*/node_modules/.bin/heroku >/dev/null 2>&1 || npm install --silent --no-fund --no-audit --prefix target/heroku heroku@11.10.0
	PENSTOCK_HEROKU="$$(ls $(CURDIR)/target/*/node_modules/.bin/heroku | head -n 1)" cargo test --test it docs::

bench: tools ## Print ratios against ceilings measured in the same run; BENCH=reads runs one
	cargo bench --bench penstock -- $(BENCH)

fuzz: tools ## Throw made-up archives at what unpacks them, and made-up requests at a server, whose answers are held to /openapi.json; SECONDS=600, EXAMPLES=200 try harder
	tests/fuzz/unpack $(SECONDS)
	tests/fuzz/run $(EXAMPLES)

# Names what is missing, with the remedy. SQLite and the TLS library are compiled from C.
tools:
	@command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
	@rustc --version | awk '{ split($$2, is, "."); exit !(is[1] > 1 || is[2] >= 89) }' || { echo "Rust is too old: 1.89 or newer, see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "A C compiler is missing: sudo apt-get install gcc libc6-dev" >&2; exit 1; }
	@command -v bash >/dev/null || { echo "Dynos run their commands under bash: sudo apt-get install bash" >&2; exit 1; }
