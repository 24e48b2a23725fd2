# shellcheck shell=bash
# Questions about the cluster, asked from the laptop or of a node's card, for the checks; and the cluster
# that most cases start from. Sourced by run, after lan.sh.

# ask HOST PATH [CURL-OPTION…]: the API's answer to the cluster's admin.
ask() {
	local keys=$work/cards/$card/$init_node/etc/rancher/k3s/cluster
	in_lan laptop curl --silent --max-time 5 --cacert "$keys/server-ca.crt" --cert "$keys/admin.crt" \
		--key "$keys/admin.key" "${@:3}" "https://$1:6443$2"
}

# answers_with STATUS HOST PATH [CURL-OPTION…]
answers_with() {
	[ "$(ask "${@:2}" --output /dev/null --write-out '%{http_code}')" = "$1" ]
}

api_is_ready() {
	[ "$(ask "$1" /readyz)" = ok ]
}

# members HOST FILTER: true if jq finds the member list to be so; prints what jq prints.
members() {
	local token
	token=$(sed 's/.*:://; s/^server://' "$work/cards/$card/$init_node/etc/rancher/k3s/token")
	ask "$1" /db/info --user "server:$token" | jq --exit-status --raw-output "$2"
}

member_of() {
	members "$vip" ".members[].name | select(startswith(\"$1-\"))"
}

no_member() {
	members "$vip" ".members | all(.name != \"$1\")"
}

# voters HOST NUMBER
voters() {
	members "$1" ".members | map(select(.isLearner | not)) | length == $2"
}

# Three members with a vote, and three nodes that Kubernetes calls ready.
cluster_is_complete() {
	members "$vip" '.members | length == 3 and all(.isLearner | not) and
		(map(.name | sub("-[^-]*$"; "")) | sort == ["balthazar", "caspar", "melchior"])' &&
		ask "$vip" /api/v1/nodes | jq --exit-status \
			'[.items[].status.conditions[] | select(.type == "Ready" and .status == "True")] | length == 3'
}

# is_back NODE: its own API is ready, in a complete cluster.
is_back() {
	api_is_ready "${address[$1]}" && cluster_is_complete
}

# has_rejoined NODE: its card holds a member's data, in the complete cluster with that id.
has_rejoined() {
	has_etcd_data "$1" && cluster_is_complete && is_cluster "$2"
}

delete_node() {
	answers_with 200 "$vip" "/api/v1/nodes/$1" --request DELETE
}

cluster_id() {
	ask "$vip" /api/v1/namespaces/kube-system | jq --exit-status --raw-output .metadata.uid
}

is_cluster() {
	[ "$(cluster_id)" = "$1" ]
}

is_complete_cluster() {
	cluster_is_complete && is_cluster "$1"
}

has_lost_quorum() {
	answers_with 500 "$1" /readyz
}

# --- The VIP, as the watcher sees it

vip_answers() {
	grep -q laptop=yes "$work/$lan/now"
}

# vip_is_on NODE: on no other, and it answers in the LAN.
vip_is_on() {
	grep -q "holders=$1 .*laptop=yes" "$work/$lan/now"
}

vip_is_not_on() {
	! grep -q "holders=$1 " "$work/$lan/now"
}

vip_is_held() {
	grep -q 'holders=[a-z]* .*laptop=yes' "$work/$lan/now"
}

vip_left() {
	vip_is_not_on "$1" && vip_is_held
}

vip_holder() {
	sed 's/.*holders=\([^ ]*\).*/\1/' "$work/$lan/now"
}

# --- One node, by what is on its card

# status_says NODE PATTERN
status_says() {
	grep -q -- "$2" "$(root_of "$1")/boot/firmware/magi-status.txt"
}

bootstrap_of() {
	echo "$(root_of "$1")/etc/rancher/k3s/config.yaml.d/10-bootstrap.yaml"
}

has_etcd_data() {
	[ -d "$(root_of "$1")/var/lib/rancher/k3s/server/db/etcd/member/wal" ]
}

created_cluster() {
	grep -q 'cluster-init: true' "$(bootstrap_of "$1")"
}

joined_cluster() {
	grep -q 'server: https' "$(bootstrap_of "$1")"
}

# It has neither etcd data nor the decision to create a cluster or to join one.
is_undecided() {
	! has_etcd_data "$1" && [ ! -e "$(bootstrap_of "$1")" ]
}

# --- The cluster that most cases start from

# A complete cluster, for a case on another subject, in the LAN that it has made, or in a new one; its id is in
# $id. The first case to need the cluster forms it; the others boot copies of its cards, as after a power cut.
start_cluster() {
	[ -n "$watcher_pid" ] || make_lan "${nodes[@]}"
	if claim_forming; then
		form_cluster
		save_cluster
	else
		eventually 'a cluster to start from' test -e "$work/saved-$card"
		cp -a "$work/saved-$card/." "$work/$lan"
	fi
	boot "${nodes[@]}"
	eventually 'the cluster is complete' cluster_is_complete
	id=$(cluster_id)
}

# True for the first to ask, who is then to form and save the cluster that the others start from.
claim_forming() {
	mkdir "$work/claimed-$card" 2>/dev/null
}

form_cluster() {
	local name
	for name in "${nodes[@]}"; do flash "$name"; done
	boot "${nodes[@]}"
	eventually 'three nodes form one cluster' cluster_is_complete
}

# Cuts the nodes' power and copies their cards; who comes second changes nothing.
save_cluster() {
	local name copy=$work/$lan/copy
	power_cut "${nodes[@]}"
	for name in "${nodes[@]}"; do
		mkdir -p "$copy/$name"
		cp -a "$(root_of "$name")" "$copy/$name"
	done
	mv -nT "$copy" "$work/saved-$card"
}
