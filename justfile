# labkit's chores. `just` alone lists them.

default:
    @just --list --unsorted

# Formatting, lints, fresh schemas. Writes nothing.
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo run --quiet -p labkit-cli -- schema --check

# What `check` complains of and a machine can mend.
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo run --quiet -p labkit-cli -- schema

# The whole suite, as CI runs it; or the tests whose name contains FILTER.
test *FILTER:
    ./tests/run {{FILTER}}

# Rewrites golden files. Read the diff.
bless:
    LABKIT_BLESS=1 cargo test --release --workspace

# Grades one lab's solution.
lab NAME:
    cargo run --release -- run {{NAME}} --solution

# Proves every lab: start fails, solution passes, wrong ones fail exactly.
labs:
    cargo run --release -- lint

# Plays a lab with your own kubectl and etcdctl.
start NAME:
    cargo run --release -- start {{NAME}}

# Grades the course and builds the book.
book:
    cargo run --release -- book build

# One stripped binary with course, schemas and book in it: dist/labkit.
dist:
    cargo build --release --bin labkit
    mkdir -p dist
    cp "${CARGO_TARGET_DIR:-target}/release/labkit" dist/labkit
    strip dist/labkit
    ls -lh dist/labkit

# Figures: all, or those named; `just bench etcd` puts our store beside a real one, `just bench api` measures the API
# server. Nothing is asserted: machines are noisy.
bench *FILTER:
    cargo bench --workspace -- {{FILTER}}

# Fuzzes one of the targets in tests/fuzz/fuzz_targets for a while. Wants cargo-fuzz and a C++ compiler; the stable
# compiler does, because it is told to take the flags of a nightly one. The flag for Tokio is that of .cargo/config.toml,
# which cargo-fuzz hides.
fuzz TARGET SECONDS="60":
    cd tests && RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg tokio_unstable" CARGO_PROFILE_DEV_DEBUG=0 \
        cargo fuzz run --dev {{TARGET}} -- -max_total_time={{SECONDS}} -max_len=4096 -rss_limit_mb=4096

# The full seed counts, and a thousand rounds of kill -9: takes about an hour.
soak:
    LABKIT_SEEDS=1000 cargo test --release --workspace --test suite -- invariant_
    LABKIT_SEEDS=200 cargo test --release --workspace --test suite -- short_runs
    LABKIT_SEEDS=200 cargo test --release --workspace --test suite -- labs::
    LABKIT_SEEDS=1000 cargo test --release --workspace --test it -- grade::a_class
    LABKIT_SEEDS=1000 cargo test --release --workspace --test it -- etcd::invariant_
