# An index and a gem by Bundler, from HOST.
export BUNDLE_USER_HOME=$PWD/home BUNDLE_PATH=$PWD/gems BUNDLE_RETRY=0 BUNDLE_SILENCE_ROOT_WARNING=1
printf 'source "https://%s/gems"\ngem "octo"\n' "$1" > Gemfile
bundle install && bundle exec ruby -e 'require "octo"; puts OCTO'
