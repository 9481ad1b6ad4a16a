# A module through a proxy of modules: go.sh HOST
set -eu
export HOME="$PWD" GOPATH="$PWD/go" GOCACHE="$PWD/cache" GOFLAGS="-mod=mod -modcacherw" GO111MODULE=on GOSUMDB=off
export GOPROXY="https://$1/go"
go mod init user 2> /dev/null
go mod download octo.test/octo@v1.0.0
cat go/pkg/mod/octo.test/octo@v1.0.0/octo.go
