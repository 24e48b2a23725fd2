# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# A node must wait, and report why, where it would create a second cluster, or take another's place.

# A node that gets no answer creates the cluster after 20 s: MAGI_K3S_SILENCE in lan.sh.
longer_than_silence=30

case_reflashed_init_node_waits_for_quorum() {
	start_cluster
	power_cut "$init_node" balthazar
	flash "$init_node"
	within 10 'the VIP moves to the node that is left' vip_is_on caspar
	eventually 'the API has lost its quorum' has_lost_quorum "$vip"
	boot "$init_node"
	eventually "$init_node reports that it waits for quorum" status_says "$init_node" 'or has no quorum'
	throughout "$longer_than_silence" "$init_node neither creates nor joins a cluster" is_undecided "$init_node"
	eventually 'caspar reports the lost quorum too' status_says caspar 'waiting for the cluster to have its quorum'
	boot balthazar
	eventually "with quorum, $init_node is a member of the same cluster" has_rejoined "$init_node" "$id"
}

# The last node of the cluster has no VIP, no name and no quorum: only its address in the network is left.
case_reflashed_init_node_finds_last_node_without_vip_and_quorum() {
	card=dhcp
	start_cluster
	power_cut "${nodes[@]}"
	boot caspar
	eventually 'caspar reports the lost quorum' status_says caspar 'waiting for the cluster to have its quorum'
	flash "$init_node"
	boot "$init_node"
	eventually "$init_node reports the node that it found" status_says "$init_node" 'belongs to this cluster, but no node has'
	throughout "$longer_than_silence" "$init_node neither creates nor joins a cluster" is_undecided "$init_node"
	boot balthazar
	eventually "with balthazar, $init_node is a member of the same cluster" has_rejoined "$init_node" "$id"
}

case_init_node_waits_while_another_machine_has_the_vip() {
	make_lan "$init_node"
	connect foreign
	link_up foreign "$vip"
	flash "$init_node"
	boot "$init_node"
	eventually "$init_node reports who has the VIP" status_says "$init_node" "duplicate address: $vip is already used by .* (another machine"
	throughout "$longer_than_silence" "$init_node creates no cluster" is_undecided "$init_node"
	link_down foreign
	eventually "once the VIP is free, $init_node creates the cluster" has_etcd_data "$init_node"
}

case_init_node_waits_while_another_cluster_answers_on_the_vip() {
	make_lan "$init_node"
	start_other_cluster
	flash "$init_node"
	boot "$init_node"
	eventually "$init_node reports the other cluster" status_says "$init_node" "$vip belongs to another cluster"
	throughout "$longer_than_silence" "$init_node creates no cluster" is_undecided "$init_node"
}

# On the VIP: a server that answers as k3s does, with a certificate of another CA.
start_other_cluster() {
	local folder=$work/$lan/foreign
	mkdir -p "$folder"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$folder/other.pem" \
		-out "$folder/client-ca.crt" -days 2 -subj /CN=k3s -addext "subjectAltName=IP:$vip" 2>/dev/null
	cat "$folder/client-ca.crt" >>"$folder/other.pem"
	connect foreign
	link_up foreign "$vip"
	spawn foreign python3 tests/firstboot/k3s-server.py "$folder" 6443 "$vip=other-cluster"
}

case_card_with_secrets_of_another_cluster_stays_out() {
	start_cluster
	power_cut caspar
	card=other flash caspar
	boot caspar
	eventually 'caspar reports the other secrets' status_says caspar 'belongs to another cluster, or this card was built with other secrets'
	throughout 15 "caspar neither joins nor has the VIP" is_undecided_without_vip caspar
	eventually 'the cluster is unharmed' is_cluster "$id"
	eventually 'it has three members' voters "$vip" 3
}

is_undecided_without_vip() {
	is_undecided "$1" && ! grep -q "holders=[^ ]*$1" "$work/$lan/now"
}

# Two Pis with cards of the same node.
case_duplicate_node_waits_until_the_original_is_off() {
	card=dhcp
	make_lan "${nodes[@]}" duplicate
	start_cluster
	flash duplicate caspar
	boot duplicate
	eventually 'the duplicate reports the original' status_says duplicate "another caspar is running at ${address[caspar]}"
	throughout 15 'the duplicate neither creates nor joins a cluster' is_undecided duplicate
	eventually 'the cluster is unharmed' is_complete_cluster "$id"
	power_cut caspar
	eventually 'once the original is off, the duplicate takes its place' has_rejoined duplicate "$id"
	boot caspar
	eventually 'the original, on again, reports the duplicate' status_says caspar 'another caspar is running at'
	eventually 'the cluster is unharmed' is_complete_cluster "$id"
}
