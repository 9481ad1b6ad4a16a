# An index and a package by Composer, from HOST.
export COMPOSER_HOME=$PWD/home COMPOSER_ALLOW_SUPERUSER=1
cat > composer.json <<JSON
{"repositories": [{"type": "composer", "url": "https://$1/composer"}, {"packagist.org": false}],
 "require": {"octo/octo": "1.0.0"}}
JSON
composer install --no-interaction --no-progress --no-cache && cat vendor/octo/octo/octo.txt
