#!/usr/bin/env bats
# The configuration that a build renders for each node, judged by the programs that read it.

load helpers
load rendered

@test "a node under DHCP is rendered" {
	render caspar
	assert_file_contains "$root/etc/network/interfaces.d/eth0" 'inet dhcp'
	[ ! -e "$root/var/lib/rancher/k3s/server/manifests" ]
	assert_file_contains "$root/etc/hostname" '^caspar$'
	assert_file_contains "$root/etc/hosts" '^10.0.0.100 magi$'
	assert_file_contains "$root/etc/magi/magi.conf" '^MAGI_INIT=no$'
	assert_file_contains "$root/etc/magi/magi.conf" "^MAGI_PEERS='melchior balthazar'$"
	refute_file_contains "$root/etc/keepalived/keepalived.conf" unicast
	assert_file_contains "$root/etc/magi/packages" '^docker docker-ce '
	refute_file_contains "$root/etc/rancher/k3s/config.yaml" traefik
}

@test "a node with a static address is rendered" {
	render melchior "$example_profile"
	assert_equal "$(printf 'auto eth0\n\niface eth0 inet static\n    address 10.0.0.11/24\n    gateway 10.0.0.1\niface eth0 inet6 auto')" \
		"$(cat "$root/etc/network/interfaces.d/eth0")"
	assert_equal 'nameserver 10.0.0.1' "$(cat "$root/etc/resolv.conf")"
	assert_file_contains "$root/etc/hosts" '^10.0.0.13 caspar$'
	assert_file_contains "$root/etc/magi/magi.conf" "^MAGI_PEERS='10.0.0.12 10.0.0.13'$"
	assert_file_contains "$root/etc/rancher/k3s/config.yaml" '^  - traefik$'
	assert_file_contains "$root/etc/magi/packages" '^node-exporter prometheus-node-exporter$'
	assert_file_contains "$root/usr/local/lib/magi/firstboot.d/60-node-exporter" 'http://127.0.0.1:9101/metrics$'
}

@test "the node with init carries the Traefik manifest and the highest VRRP priority" {
	render melchior
	assert_file_contains "$root/var/lib/rancher/k3s/server/manifests/traefik-config.yaml" 'kind: DaemonSet'
	assert_file_contains "$root/etc/keepalived/keepalived.conf" 'priority 200'
	render balthazar
	assert_file_contains "$root/etc/keepalived/keepalived.conf" 'priority 199'
}

# keepalived checks that the interface and the scripts exist.
@test "keepalived accepts its configuration" {
	for profile in "$default_profile" "$example_profile"; do
		render caspar "$profile"
		sed -i "s|\"/etc/keepalived|\"$root/etc/keepalived|" "$root/etc/keepalived/keepalived.conf"
		unshare -rn sh -c 'ip link add eth0 type veth peer name eth1 && ip addr add 10.0.0.13/24 dev eth0 && ip link set eth0 up &&
			exec keepalived --config-test --use-file "$1/etc/keepalived/keepalived.conf" --log-console --dont-fork' - "$root" \
			>"$BATS_TEST_TMPDIR/log" 2>&1 || fail "$(cat "$BATS_TEST_TMPDIR/log")"
		refute_file_contains "$BATS_TEST_TMPDIR/log" 'Unknown keyword\|Warning\|SECURITY'
	done
}

@test "systemd accepts the units" {
	command -v systemd-analyze
	render caspar
	mkdir -p "$root/sbin" "$root/usr/local/bin"
	write_script "$root/usr/local/bin/k3s" '#!/bin/sh' </dev/null
	write_script "$root/sbin/modprobe" '#!/bin/sh' </dev/null
	for unit in magi-firstboot.service k3s.service magi-k3s-report.timer magi-vip-conflicts.timer; do
		systemd-analyze verify --root="$root" --man=no --recursive-errors=no "$unit" >"$BATS_TEST_TMPDIR/log" 2>&1 || true
		# The root file system lacks the units of Debian: complaints about those don't count.
		grep -E 'magi|k3s' "$BATS_TEST_TMPDIR/log" | grep -vE 'Failed to (create|add) |not found' >"$BATS_TEST_TMPDIR/complaints" || true
		assert_equal "$unit: " "$unit: $(cat "$BATS_TEST_TMPDIR/complaints")"
	done
}
