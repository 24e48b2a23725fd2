# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# How a cluster forms from new cards.

case_nodes_started_at_once_form_one_cluster() {
	local name
	make_lan "${nodes[@]}"
	claim_forming || true
	form_cluster
	within 5 'the VIP answers with a certificate of the cluster CA' vip_answers
	expect "$init_node created the cluster" created_cluster "$init_node"
	expect 'balthazar joined' joined_cluster balthazar
	expect 'caspar joined' joined_cluster caspar
	for name in "${nodes[@]}"; do
		eventually "$name reports that k3s is up" status_says "$name" '^k3s: up since'
	done
	save_cluster
}

case_nodes_without_fixed_addresses_form_one_cluster() {
	card=dhcp
	make_lan "${nodes[@]}"
	claim_forming || true
	form_cluster
	save_cluster
}

case_order_melchior_balthazar_caspar_forms_one_cluster() { start_in_order melchior balthazar caspar; }
case_order_melchior_caspar_balthazar_forms_one_cluster() { start_in_order melchior caspar balthazar; }
case_order_balthazar_melchior_caspar_forms_one_cluster() { start_in_order balthazar melchior caspar; }
case_order_balthazar_caspar_melchior_forms_one_cluster() { start_in_order balthazar caspar melchior; }
case_order_caspar_melchior_balthazar_forms_one_cluster() { start_in_order caspar melchior balthazar; }
case_order_caspar_balthazar_melchior_forms_one_cluster() { start_in_order caspar balthazar melchior; }

# start_in_order NODE NODE NODE: the next node is started when the one before has joined, or waits.
start_in_order() {
	local name init_node_is_on=''
	make_lan "${nodes[@]}"
	for name; do
		flash "$name"
		boot "$name"
		[ "$name" != "$init_node" ] || init_node_is_on=1
		if [ -n "$init_node_is_on" ]; then
			eventually "$name becomes a member" has_etcd_data "$name"
		else
			eventually "$name reports that it waits" status_says "$name" "for the cluster to answer on $vip"
			expect "$name neither creates nor joins a cluster" is_undecided "$name"
		fi
	done
	eventually 'three nodes form one cluster' cluster_is_complete
	expect "$init_node created the cluster" created_cluster "$init_node"
}
