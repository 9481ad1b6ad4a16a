# A crate through a registry of one's own: cargo.sh HOST. The index comes by git, the crate by HTTP.
set -eu
export CARGO_HOME="$PWD/home" CARGO_REGISTRIES_LOCAL_INDEX="https://$1/git/index-$1.git"
mkdir src home
echo > src/lib.rs
printf '[package]\nname = "user"\nversion = "0.1.0"\n[dependencies]\nocto = { version = "1", registry = "local" }\n' > Cargo.toml
cargo fetch
cat home/registry/src/*/octo-1.0.0/src/lib.rs
