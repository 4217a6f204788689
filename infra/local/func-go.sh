#!/bin/sh
# What func run is to use in place of go, named by FUNC_GO. It compiles a
# function inside a module of its own making, .func/runs/<port>, which drops the
# replace directives that lead to events and shared. func build finds them in
# the function's .func/go.work; this makes the same workspace for func run:
#
#   cd functions/payment-verification
#   FUNC_GO="$PWD/../../infra/local/func-go.sh" func run
set -eu

case $PWD in
*/.func/runs/*) ;;
*) exec go "$@" ;; # func build, which has all it needs
esac

# func run tidies first. go mod tidy knows no workspace and would ask the
# Internet for our modules; the workspace needs no tidying.
[ "${1-} ${2-}" != "mod tidy" ] || exit 0

# Two folders further down than .func, and with another module to use.
sed -e 's|^use \./build$|use .|' -e 's|=> \.\./|=> ../../../|' ../../go.work >go.work
GOWORK=$PWD/go.work exec go "$@"
