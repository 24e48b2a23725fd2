#!/usr/bin/env bats
# The wired port's configuration on base images without ifupdown, judged by netplan and NetworkManager.

load helpers
load rendered

# render_port BASE [static]: the files of a node on that sample base whose port isn't the default one.
render_port() {
	local folder=$BATS_TEST_TMPDIR/$1${2-} base=$1
	mkdir -p "$folder"
	cat >"$folder/magi.toml" <<-END
		[cluster]
		name = "magi"
		vip = "10.0.0.100"
		interface = "end0"
		${2+gateway = '10.0.0.1'}
		${2+dns = ['10.0.0.1', '10.0.0.2']}
		[base]
		image = "$1"
		[ssh]
		authorized_keys = []
		[overlays]
		use = ["common"]
		[[node]]
		name = "melchior"
		${2+address = '10.0.0.11/24'}
	END
	render melchior "$folder/magi.toml"
}

# networkd: the file for systemd-networkd that netplan makes of the node's.
networkd() {
	netplan generate --root-dir "$root" 2>"$BATS_TEST_TMPDIR/complaints"
	assert_equal '' "$(cat "$BATS_TEST_TMPDIR/complaints")"
	assert_equal '10-netplan-end0.network' "$(ls "$root/run/systemd/network")"
	cat "$root/run/systemd/network/10-netplan-end0.network"
}

@test "netplan accepts a static address" {
	render_port sample-b static
	assert_equal '600' "$(stat -c %a "$root/etc/netplan/90-default.yaml")"
	networkd >"$BATS_TEST_TMPDIR/network"
	assert_equal 'Address=10.0.0.11/24 DNS=10.0.0.1 DNS=10.0.0.2 Gateway=10.0.0.1' \
		"$(grep -E '^(Address|DNS|Gateway)=' "$BATS_TEST_TMPDIR/network" | xargs)"
	# With DHCP of any kind, systemd-networkd-wait-online waits for a dynamic address.
	refute_file_contains "$BATS_TEST_TMPDIR/network" '^DHCP='
	[ ! -e "$root/etc/network/interfaces.d/eth0" ]
}

@test "netplan accepts DHCP" {
	render_port sample-b
	networkd >"$BATS_TEST_TMPDIR/network"
	assert_file_contains "$BATS_TEST_TMPDIR/network" '^DHCP=yes$'
	refute_file_contains "$BATS_TEST_TMPDIR/network" '^\(Address\|DNS\|Gateway\)='
}

# networkmanager: the node's connection, as NetworkManager reads it.
networkmanager() {
	local file=$root/etc/NetworkManager/system-connections/magi-wired.nmconnection
	assert_equal '600' "$(stat -c %a "$file")"
	nmcli --offline connection modify connection.zone '' <"$file"
}

@test "NetworkManager accepts a static address" {
	render_port sample-c static
	networkmanager >"$BATS_TEST_TMPDIR/connection"
	assert_equal 'interface-name=end0 address1=10.0.0.11/24,10.0.0.1 dns=10.0.0.1;10.0.0.2; method=manual method=auto' \
		"$(grep -E '^(interface-name|address1|dns|method)=' "$BATS_TEST_TMPDIR/connection" | xargs)"
}

@test "NetworkManager accepts DHCP" {
	render_port sample-c
	networkmanager >"$BATS_TEST_TMPDIR/connection"
	assert_equal 'interface-name=end0 method=auto method=auto' \
		"$(grep -E '^(interface-name|address1|dns|method)=' "$BATS_TEST_TMPDIR/connection" | xargs)"
}
