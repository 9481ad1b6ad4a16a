# A package by one of yarn's: yarn.sh yarn|yarn-berry HOST
set -eu
export HOME="$PWD" YARN_NPM_REGISTRY_SERVER="https://$2/npm" YARN_ENABLE_TELEMETRY=0 YARN_NODE_LINKER=node-modules
export YARN_REGISTRY="https://$2/npm" YARN_HTTP_RETRY=0
echo '{ "name": "user" }' > package.json
: > yarn.lock
"$1" add octo
node -p 'require("octo")'
