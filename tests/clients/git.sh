# A clone and a push: git.sh HOST MIB. The history holds so many MiB already, and as many again are pushed.
set -eu
export GIT_TRACE_CURL="$PWD/trace" GIT_TRACE_CURL_NO_DATA=1
git clone -q "https://$1/git/repo-$2.git" repo
cd repo
head -c "$2"M /dev/urandom > "big-$1"
git -c core.compression=0 -c core.bigFileThreshold=1m add "big-$1"
git -c core.compression=0 -c user.name=a -c user.email=a@test commit -qm "from $1"
git -c core.compression=0 -c core.bigFileThreshold=1m push -q origin HEAD:refs/heads/"$1"
cat file
echo "http=$(sed -n 's,.*Recv header: HTTP/\([0-9.]*\).*,\1,p' ../trace | sort -u)"
test "$(stat -c %s big)" = $(($2 * 1048576))
