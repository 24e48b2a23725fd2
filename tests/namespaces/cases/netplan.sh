# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Nodes on the base of Debian's cloud team: netplan configures their port.

case_nodes_with_netplan_form_one_cluster_whose_vip_moves() {
	local name failed
	card=cloud
	make_lan "${nodes[@]}"
	form_cluster
	for name in "${nodes[@]}"; do
		expect "$name has its address from netplan" has_address "$name" "${address[$name]}"
		expect "$name's name server is the profile's" grep -qx "DNS=$gateway" "$(networkd_file_of "$name")"
		expect "$name has no ifupdown" test ! -e "$(root_of "$name")/etc/network/interfaces.d/eth0"
	done
	expect "$init_node created the cluster" created_cluster "$init_node"
	failed=$(vip_holder)
	id=$(cluster_id)
	power_cut "$failed"
	vip_moves_from "$failed"
	within 10 'the API answers on the VIP' is_cluster "$id"
	boot "$failed"
	vip_stays_when_back "$failed"
}
