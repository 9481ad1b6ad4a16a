# apt-get with directories of its own, as any user: apt.sh HOST
set -eu
mkdir -p etc state/lists/partial cache/archives/partial
: > state/status
echo "deb [trusted=yes] https://$1/apt ./" > etc/sources.list
get() {
    apt-get -qq -o Dir::Etc="$PWD/etc" -o Dir::State="$PWD/state" -o Dir::State::status="$PWD/state/status" \
        -o Dir::Cache="$PWD/cache" -o Acquire::Languages=none "$@"
}
get update
get download octo
dpkg-deb --fsys-tarfile octo_*.deb | tar -xO ./usr/share/octo
