#!/usr/bin/env bats
# `vip-status`: what the status says about the VIP, and about other machines that use it.

load helpers

setup() {
	new_node
	vrrp_conflict ''
}

# vrrp_conflict TEXT: what the listener for foreign VRRP adverts prints.
vrrp_conflict() {
	write_script "$MAGI_LIB/vrrp-conflicts" '#!/bin/sh' <<<"printf '%s' '$1'"
}

vip_status() {
	on_node sh "$MAGI_LIB/vip-status" "$@"
}

# keepalived_says STATE: as keepalived calls it.
keepalived_says() {
	vip_status INSTANCE magi "$1" 199
}

@test "vip-status trusts the interface rather than a late keepalived notification" {
	set_addresses "$caspar_ip/27" "$vip/32"
	keepalived_says MASTER
	assert_status "^  $vip is on this node$"
	set_addresses "$caspar_ip/27"
	keepalived_says BACKUP
	assert_status "^  $vip is on another node"
	keepalived_says MASTER
	assert_status "^  $vip is on another node"
	keepalived_says FAULT
	assert_status "^  waiting for this node's API: without it this node cannot hold $vip$"
	refute vip_status nonsense twice
}

@test "vip-status remembers a router id conflict for a day" {
	vrrp_conflict 'router id 51 is also used by 10.0.0.7'
	vip_status conflicts
	[ ! -e "$STATUS_TXT" ]
	keepalived_says BACKUP
	assert_status '^  error: router id 51 is also used by 10.0.0.7$'
	vrrp_conflict ''
	vip_status conflicts
	assert_status 'error: router id 51'
	touch -d '-2 days' "$MAGI_RUN/vip-router-id-conflict"
	vip_status conflicts
	refute_status error
}

@test "vip-status names other machines that answer for the VIP" {
	keepalived_says BACKUP
	arping_finds "$vip" "$foreign_mac"
	vip_status conflicts
	refute_status error
	arping_finds "$vip" "$foreign_mac" "$second_foreign_mac"
	vip_status conflicts
	assert_status "error: duplicate address: $vip is also used by $foreign_mac $second_foreign_mac: "
	set_addresses "$caspar_ip/27" "$vip/32"
	arping_finds "$vip" "$foreign_mac"
	vip_status conflicts
	assert_status "error: duplicate address: $vip is also used by $foreign_mac: "
}
