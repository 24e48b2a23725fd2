#!/usr/bin/env bats
# `k3s-bootstrap` where a cluster exists: through which server the node joins, and what it reports.

load helpers
load k3s

setup_file() {
	create_cluster_keys
}

@test "bootstrap joins through the VIP" {
	new_k3s_node MAGI_INIT=yes MAGI_PEERS="$balthazar_ip"
	start_server "$vip" healthy
	assert_joins "$vip"
	assert_equal "node-ip: $caspar_ip" "$(cat "$MAGI_K3S_CONFIG/20-node-ip.yaml")"
	assert_status "^  joining the cluster through $vip$"
}

@test "bootstrap never takes the VIP as the node's own address" {
	new_k3s_node
	set_addresses "$vip/32" "$caspar_ip/24"
	start_server "$vip" healthy
	run_bootstrap
	assert_equal "node-ip: $caspar_ip" "$(cat "$MAGI_K3S_CONFIG/20-node-ip.yaml")"
}

@test "bootstrap joins through a peer when the VIP does not answer" {
	new_k3s_node MAGI_PEERS="$balthazar_ip $melchior_ip"
	start_server "$melchior_ip" healthy
	assert_joins "$melchior_ip"
}

@test "bootstrap skips servers with a wrong, a missing or an endless answer" {
	new_k3s_node MAGI_PEERS="$unlisted_ip $balthazar_ip $melchior_ip"
	start_server "$vip" not-k3s
	start_server "$unlisted_ip" silent
	start_server "$balthazar_ip" endless
	start_server "$melchior_ip" healthy
	assert_joins "$melchior_ip"
}

@test "bootstrap skips a server of another cluster on the VIP" {
	new_k3s_node MAGI_PEERS="$melchior_ip"
	start_server "$vip" other-cluster
	start_server "$melchior_ip" healthy
	assert_joins "$melchior_ip"
}

@test "bootstrap skips servers without quorum or without an API" {
	new_k3s_node MAGI_PEERS="$balthazar_ip $melchior_ip"
	start_server "$vip" no-quorum
	start_server "$balthazar_ip" not-k3s
	start_server "$melchior_ip" healthy
	assert_joins "$melchior_ip"
}

@test "bootstrap joins a server that appears later" {
	new_k3s_node
	launch_server "$vip" late
	fake sleep <<<'exec /bin/sleep 0.3'
	assert_joins "$vip"
	[ -n "$(calls_of sleep)" ]
}

@test "bootstrap waits for a cluster without quorum" {
	new_k3s_node MAGI_INIT=yes
	start_server "$vip" no-quorum
	assert_keeps_waiting
	assert_status "waiting for the cluster of $vip to be ready"
	assert_status "error: $vip answers with HTTP status 500: it is starting, or has no quorum"
	assert_equal '5 5 5 5 5 5 5 5 5 5 5 5' "$(pauses)"
}

@test "bootstrap writes the status once while several servers are not ready" {
	new_k3s_node MAGI_PEERS="$balthazar_ip $melchior_ip"
	start_server "$vip" no-quorum
	start_server "$balthazar_ip" not-k3s
	start_server "$melchior_ip" unauthorized
	assert_keeps_waiting
	assert_status "waiting for the cluster of $vip to be ready"
	assert_equal 1 "$(calls_of sync | grep -c 'magi-status.txt.new')"
}

@test "bootstrap reports that the API rejects the credentials of the card" {
	new_k3s_node
	start_server "$vip" unauthorized
	assert_keeps_waiting
	assert_status "error: $vip refuses this card's credentials (HTTP status 401)"
}

@test "bootstrap reports the last fatal message when k3s keeps failing" {
	new_k3s_node
	start_server "$vip" healthy
	k3s_logged 'level=fatal msg="duplicate node name found"'
	fake systemctl <<<'echo 12'
	assert_joins "$vip"
	assert_status '^k3s: failing'
	assert_status 'error: duplicate node name found'
}

@test "bootstrap reports the number of restarts when k3s logs no reason" {
	new_k3s_node
	start_server "$vip" healthy
	fake systemctl <<<'echo 12'
	assert_joins "$vip"
	assert_status 'error: k3s has stopped 12 times without an error message'
}

@test "bootstrap reports the reason in a shutdown request" {
	new_k3s_node
	start_server "$vip" healthy
	k3s_logged 'level=error msg="Shutdown request received: \"kube-proxy exited: no\""'
	fake systemctl <<<'echo 12'
	assert_joins "$vip"
	assert_status 'error: "kube-proxy exited: no"$'
}

@test "bootstrap warns when the memory cgroup is off" {
	new_k3s_node
	start_server "$vip" healthy
	echo 'cpu pids' >"$node/cgroups"
	run_bootstrap
	assert_file_contains "$SCRATCH/bootstrap.log" 'memory cgroup is off'
}
