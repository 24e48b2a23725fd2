#!/usr/bin/env bats
# `k3s-bootstrap` on a node that was a member before, or whose name the cluster knows already.

load helpers
load k3s

setup_file() {
	create_cluster_keys
}

@test "bootstrap changes nothing once the node has etcd data" {
	new_k3s_node MAGI_INIT=yes
	has_joined_as "$caspar_ip"
	echo "server: https://$melchior_ip:6443" >"$decision"
	run_bootstrap
	assert_equal "server: https://$melchior_ip:6443" "$(cat "$decision")"
	[ ! -e "$STATUS_TXT" ]
	refute_file_contains "$CALLS" arping
}

@test "bootstrap reports that the address of a member has changed" {
	new_k3s_node
	has_joined_as "$former_caspar_ip"
	run_bootstrap
	assert_status "this node joined the cluster as $former_caspar_ip"
	assert_status "its address is now $caspar_ip"
}

@test "a removed member joins again and never creates a cluster" {
	new_k3s_node MAGI_INIT=yes
	has_joined_as "$caspar_ip"
	is_removed
	echo 'cluster-init: true' >"$decision"
	assert_keeps_waiting
	assert_status 'error: the cluster has removed this node'
	start_server "$vip" healthy
	assert_joins "$vip"
}

@test "bootstrap waits while another live node has the same name" {
	new_k3s_node
	start_server "$vip" live-duplicate
	assert_keeps_waiting
	assert_status 'waiting for the other node named caspar to be switched off'
	assert_status "error: duplicate node: another caspar is running at $former_caspar_ip"
	refute_file_contains "$SCRATCH/bootstrap.log" removing
}

@test "bootstrap removes the dead node of the same name and joins" {
	new_k3s_node MAGI_INIT=yes
	start_server "$vip" dead-duplicate
	fake sleep <<<'exec /bin/sleep 0.4'
	assert_joins "$vip"
	assert_file_contains "$SCRATCH/bootstrap.log" "removing the former caspar: $vip answers 200"
}

@test "bootstrap resumes an interrupted join of the same card" {
	new_k3s_node
	start_server "$vip" same-machine
	mkdir -p "$MAGI_K3S_DATA/server/db/etcd"
	: >"$MAGI_K3S_DATA/server/db/etcd/name"
	k3s_logged 'time="…" level=fatal msg="starting kubernetes: etcdserver: too many learner members in cluster"'
	assert_joins "$vip"
	assert_equal '' "$(pauses)"
	assert_status 'error: starting kubernetes: etcdserver: too many learner members in cluster'
}
