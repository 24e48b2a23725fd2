#!/usr/bin/env bats
# The rendered nftables rules: accepted by nft, and open to exactly the right machines.

load helpers
load rendered

@test "nft accepts the firewall's rules" {
	for profile in "$default_profile" "$example_profile"; do
		render caspar "$profile"
		unshare -rn nft --check --file "$root/etc/nftables.conf"
	done
}

@test "the firewall opens each port to the machines that may use it" {
	render melchior "$example_profile"
	unshare -rn "$BATS_TEST_DIRNAME/firewall-scenario" "$root/etc/nftables.conf" >"$BATS_TEST_TMPDIR/output" 2>&1
	assert_equal "internet tcp/443
internet tcp/80
lan tcp/22
lan tcp/443
lan tcp/6443
lan tcp/80
lan tcp/9101
node tcp/10250
node tcp/22
node tcp/2379
node tcp/443
node tcp/6443
node tcp/80
node tcp/9101
node udp/8472
node vrrp
table inet magi
table ip other
table ip other" "$(LC_ALL=C sort "$BATS_TEST_TMPDIR/output")"
}
