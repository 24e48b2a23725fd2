#!/usr/bin/env bats
# `k3s-bootstrap` where no cluster answers: when a node creates one, and what prevents it.

load helpers
load k3s

setup_file() {
	create_cluster_keys
}

@test "a node with init creates the cluster when no server answers" {
	new_k3s_node MAGI_INIT=yes MAGI_PEERS="$balthazar_ip $melchior_ip"
	assert_creates_cluster
	assert_equal '5 5 5' "$(pauses)"
	assert_status '^  creating the cluster: no existing cluster was found$'
}

@test "a node without init waits for the cluster forever" {
	new_k3s_node MAGI_PEERS="$balthazar_ip"
	assert_keeps_waiting
	assert_equal '5 5 5 5 10 20 40 60 60 60 60 60' "$(pauses)"
	assert_status "for the cluster to answer on $vip or $balthazar_ip"
}

@test "another machine on the VIP prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes
	arping_finds "$vip" "$foreign_mac"
	assert_keeps_waiting
	assert_status "error: duplicate address: $vip is already used by $foreign_mac (another machine"
}

@test "a duplicate of the node's own address prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes
	arping_finds "$caspar_ip" "$foreign_mac"
	assert_keeps_waiting
	assert_status "error: duplicate address: $caspar_ip is already used by $foreign_mac (a second card of caspar"
}

# The address was in use until just now: perhaps by a cluster in trouble.
@test "a cluster is created only after four consecutive rounds without an answer" {
	new_k3s_node MAGI_INIT=yes
	arping_finds "$vip" "$foreign_mac"
	# The other machine leaves in the fifth pause.
	fake sleep <<<'[ "$(grep -c ^sleep "$CALLS")" -lt 5 ] || rm -f "$FAKES/do-arping"'
	assert_creates_cluster
	assert_equal '5 5 5 5 5 5 5 5' "$(pauses)"
}

@test "a cluster is created only after the whole time of silence" {
	new_k3s_node MAGI_INIT=yes
	fake sleep <<<'exec /bin/sleep 0.1'
	started=$SECONDS
	MAGI_K3S_SILENCE=4 assert_creates_cluster
	[ $((SECONDS - started)) -ge 3 ]
}

@test "a failed ARP probe prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes
	fake arping <<<'echo "arping: Interface eth0 is down"; exit 2'
	assert_keeps_waiting
	assert_status "error: ARP probe for $caspar_ip failed: arping: Interface eth0 is down"
}

@test "a peer whose API does not answer as k3s prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes MAGI_PEERS="$balthazar_ip"
	start_server "$balthazar_ip" not-k3s
	assert_keeps_waiting
	assert_status "error: $balthazar_ip belongs to this cluster, but its API does not answer"
}

@test "a peer on which only etcd listens prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes MAGI_PEERS="$balthazar_ip"
	start_server "$balthazar_ip" healthy
	MAGI_K3S_PORT=$((k3s_port + 1)) MAGI_ETCD_PORT=$k3s_port assert_keeps_waiting
	assert_status "error: $balthazar_ip belongs to this cluster, but its API does not answer"
}

# As under DHCP, where the router may not resolve the names of the peers.
@test "a server of the cluster at an unlisted address of the subnet prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes MAGI_PEERS="$balthazar_ip"
	start_server "$unlisted_ip" healthy
	assert_keeps_waiting
	assert_status "waiting for the cluster of $unlisted_ip to take its virtual IP"
}

@test "a server of another cluster on the VIP prevents the creation of a cluster" {
	new_k3s_node MAGI_INIT=yes
	start_server "$vip" other-cluster
	assert_keeps_waiting
	assert_status "error: $vip belongs to another cluster, or this card was built with other secrets: SSL certificate problem"
}
