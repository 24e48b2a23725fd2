#!/usr/bin/env bats
# The first-boot steps 10-network and 20-clock.

load helpers

run_network_step() {
	on_node env MAGI_NETWORK_TRIES=2 sh overlays/firstboot/firstboot/10-network 2>"$SCRATCH/log"
}

@test "the network step says whether the address or the default route is missing" {
	new_node
	set_addresses
	refute run_network_step
	assert_file_contains "$SCRATCH/log" 'eth0 has no IPv4 address: check the cable'
	set_addresses "$caspar_ip/27"
	: >"$SCRATCH/default-route"
	refute run_network_step
	assert_file_contains "$SCRATCH/log" 'no default route'
}

# set_clock: runs the clock step; `apt-helper` stands in for the downloader of apt.
set_clock() {
	on_node env MAGI_CLOCK_TRIES=2 MAGI_SYNCHRONIZED="$SCRATCH/synchronized" MAGI_APT_HELPER="$FAKES/bin/apt-helper" \
		sh overlays/firstboot/firstboot/20-clock 2>"$SCRATCH/log"
}

@test "the clock is set from the archive's answer where NTP is blocked" {
	new_node
	fake date <<<'[ "$1" = -s ] || exec /bin/date "$@"'
	fake apt-helper <<<'printf "HTTP/1.1 404 Not Found\r\ndate: Fri, 01 Jan 2100 00:00:00 GMT\r\nE: Download Failed\n"; exit 100'
	set_clock
	assert_equal 'Fri, 01 Jan 2100 00:00:00 GMT' "$(calls_of date | sed -n 's/^-s //p')"
	# The clock is never set back.
	: >"$CALLS"
	fake apt-helper <<<'printf "Date: Thu, 01 Jan 2015 00:00:00 GMT\r\n"'
	set_clock
	refute_file_contains "$CALLS" '^date -s'
}

@test "the clock step fails without NTP and archive, and passes with NTP" {
	new_node
	fake apt-helper <<<'echo "E: Could not connect"; exit 100'
	refute set_clock
	assert_file_contains "$SCRATCH/log" 'no NTP server and no Debian archive answers: E: Could not connect'
	: >"$SCRATCH/synchronized"
	set_clock
}
