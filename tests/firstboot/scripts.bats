#!/usr/bin/env bats
# The scripts that overlays bring to a node, as source code.

load helpers

posix_scripts() {
	grep -rlE '^#!/bin/sh|^# shellcheck shell=sh' overlays docs/example-overlay
}

@test "every script is POSIX sh and passes shellcheck" {
	posix_scripts | grep -v '\.j2$' >"$BATS_TEST_TMPDIR/scripts"
	xargs shellcheck -x <"$BATS_TEST_TMPDIR/scripts"
	for script in $(posix_scripts); do dash -n "$script"; done
}

@test "no first-boot step is longer than a screen" {
	for script in overlays/*/firstboot/*; do
		[ "$(wc -l <"$script")" -le 50 ] || fail "$script"
	done
}

# bats ignores a failing `! command`, which shellcheck reports.
@test "the scripts of this test suite pass shellcheck" {
	shellcheck -x tests/firstboot/{run,fake-command,firewall-scenario} tests/firstboot/*.{bash,bats}
}
