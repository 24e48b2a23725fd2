# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Nodes that come back to the cluster they were part of.

case_same_cluster_after_power_cut_of_all_nodes() {
	start_cluster
	power_cut "${nodes[@]}"
	boot "${nodes[@]}"
	eventually 'the same cluster is complete' is_complete_cluster "$id"
}

case_reflashed_nodes_replace_their_stale_members() {
	local name stale
	start_cluster
	for name in caspar "$init_node" balthazar; do
		stale=$(member_of "$name")
		power_cut "$name"
		flash "$name"
		within 10 'the VIP answers' vip_answers
		boot "$name"
		eventually "$name is a member of the same cluster" has_rejoined "$name" "$id"
		expect "$name joined" joined_cluster "$name"
		eventually "its stale member $stale is gone" no_member "$stale"
	done
}

# As by `kubectl delete node`, or by another card that took the node's place. This node's configuration tells
# it to create a cluster.
case_removed_init_node_rejoins_by_itself() {
	start_cluster
	removed_node_rejoins "$init_node"
}

case_removed_vip_holder_rejoins_by_itself_and_gives_up_the_vip() {
	local holder
	start_cluster
	eventually 'a node holds the VIP' vip_is_held
	holder=$(vip_holder)
	removed_node_rejoins "$holder"
	expect "the VIP has left $holder" vip_left "$holder"
}

removed_node_rejoins() {
	local stale
	stale=$(member_of "$1")
	expect "$1 is deleted" delete_node "$1"
	eventually "its member $stale is removed" no_member "$stale"
	eventually "$1 is a member of the same cluster again" has_rejoined "$1" "$id"
	expect "$1 joined" joined_cluster "$1"
}

case_join_interrupted_by_power_cuts_completes() {
	local seconds
	start_cluster
	power_cut caspar
	flash caspar
	boot caspar
	for seconds in 0 0.3 0.6 0.9; do
		eventually "caspar is joining, and has $seconds s for that" joined_cluster caspar
		sleep "$seconds"
		power_cut caspar
		boot caspar
	done
	eventually 'caspar is a member of the same cluster' has_rejoined caspar "$id"
}
