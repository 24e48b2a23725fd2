# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# The stand-in for k3s refuses what k3s refuses, or the other cases would prove nothing. Its servers run in the
# laptop's namespace, each on its own loopback address, with a bootstrap file that is written by hand.

declare -A loopback=([melchior]=127.0.0.11 [balthazar]=127.0.0.12 [caspar]=127.0.0.13)
create_line='cluster-init: true'

skip_with_real_k3s() {
	[ -n "${MAGI_TEST_K3S-}" ] && ok 'skipped, since k3s is real'
}

# The laptop asks the first server.
prepare_servers() {
	make_lan melchior
	vip=${loopback[melchior]}
}

# prepare_server NODE BOOTSTRAP-LINE [ADDRESS]
prepare_server() {
	local config
	flash "$1"
	config=$(root_of "$1")/etc/rancher/k3s/config.yaml.d
	echo "node-ip: ${3-${loopback[$1]}}" >"$config/20-node-ip.yaml"
	echo "$2" >"$config/10-bootstrap.yaml"
}

join_line() {
	echo "server: https://${loopback[$1]}:6443"
}

start_server() {
	: >"$work/$lan/$1/console"
	network=laptop spawn "$1" env "K3S_STAND_IN_ROOT=$(root_of "$1")" "$k3s_stand_in" server
}

signal_server() {
	kill "-$2" "$(cat "$work/$lan/$1/pid")"
}

# refuses_to_start NODE WHAT PATTERN: the server ends, with a fatal message as its last line.
refuses_to_start() {
	start_server "$1"
	eventually "refuses $2" has_ended_saying "$1" "level=fatal.*$3"
}

has_ended_saying() {
	has_ended "$(cat "$work/$lan/$1/pid")" && tail -n 1 "$work/$lan/$1/console" | grep -q "$2"
}

start_cluster_of_three_servers() {
	prepare_servers
	prepare_server melchior "$create_line"
	start_server melchior
	eventually 'melchior creates the cluster' api_is_ready "${loopback[melchior]}"
	join_server balthazar
	eventually 'balthazar is a voter' voters "$vip" 2
	join_server caspar
	eventually 'the cluster is complete' cluster_is_complete
}

join_server() {
	prepare_server "$1" "$(join_line melchior)"
	start_server "$1"
}

case_stand_in_refuses_unusable_configuration() {
	local tls
	if skip_with_real_k3s; then return; fi
	make_lan melchior
	prepare_server melchior "$create_line"
	tls=$(root_of melchior)/var/lib/rancher/k3s/server/tls
	chmod 644 "$tls/client-ca.key"
	refuses_to_start melchior 'a key that others can read' 'client-ca.key is readable by others'
	chmod 600 "$tls/client-ca.key"
	sed -i 's/^K10../K1000/' "$(root_of melchior)/etc/rancher/k3s/token"
	refuses_to_start melchior 'a token of another CA' 'token CA hash does not match'
	prepare_server melchior "$create_line" "$vip"
	refuses_to_start melchior 'the VIP as its own address' 'is the virtual address'
	prepare_server melchior '# neither creates nor joins'
	refuses_to_start melchior 'neither to create nor to join a cluster' 'neither cluster-init nor server'
	prepare_server melchior "$create_line"
	rm "$tls/etcd/peer-ca.key"
	refuses_to_start melchior 'a missing CA' 'peer-ca.key is missing'
}

case_stand_in_admits_one_learner_at_a_time() {
	if skip_with_real_k3s; then return; fi
	prepare_servers
	prepare_server melchior "$create_line"
	start_server melchior
	eventually 'melchior creates the cluster' api_is_ready "${loopback[melchior]}"
	join_server balthazar
	eventually 'balthazar is a learner' members "$vip" '.members | length == 2'
	# A learner that can't answer is not promoted.
	signal_server balthazar STOP
	prepare_server caspar "$(join_line melchior)"
	refuses_to_start caspar 'a second learner' 'etcdserver: too many learner members in cluster'
	signal_server balthazar CONT
	eventually 'balthazar is a voter' voters "$vip" 2
	start_server caspar
	eventually 'the cluster is complete' cluster_is_complete
}

case_stand_in_refuses_a_duplicate_until_the_node_is_deleted() {
	local via=${loopback[balthazar]}
	if skip_with_real_k3s; then return; fi
	start_cluster_of_three_servers
	signal_server caspar KILL
	mv "$(root_of caspar)" "$work/$lan/original"
	prepare_server caspar "$(join_line balthazar)"
	refuses_to_start caspar 'a duplicate' 'duplicate node name found, please use a unique name for this node'
	eventually 'the node that ended becomes Unknown' node_is_unknown "$via" caspar
	expect 'the node is deleted' answers_with 200 "$via" /api/v1/nodes/caspar --request DELETE
	eventually 'its member is removed' members "$vip" '.members | length == 2'
	start_server caspar
	eventually 'the new card takes its place' cluster_is_complete
	signal_server caspar KILL
	rm -rf "$(root_of caspar)"
	mv "$work/$lan/original" "$(root_of caspar)"
	removed_server_has_no_api
}

node_is_unknown() {
	ask "$1" "/api/v1/nodes/$2" |
		jq --exit-status '.status.conditions[] | select(.type == "Ready" and .status == "Unknown")'
}

removed_server_has_no_api() {
	start_server caspar
	eventually 'a removed member reports that' \
		grep -q 'this node has been removed from the cluster' "$work/$lan/caspar/console"
	eventually 'its API answers 503' answers_with 503 "${loopback[caspar]}" /livez
	signal_server caspar KILL
	refuses_to_start caspar 'the original beside the new card' 'duplicate node name found'
}

case_stand_in_without_quorum_answers_pings_and_writes_nothing() {
	if skip_with_real_k3s; then return; fi
	start_cluster_of_three_servers
	signal_server caspar KILL
	signal_server balthazar KILL
	eventually 'the quorum is lost' has_lost_quorum "$vip"
	expect 'answers /ping' [ "$(ask "$vip" /ping)" = pong ]
	expect 'writes nothing' answers_with 500 "$vip" /api/v1/nodes/caspar --request DELETE
	start_server balthazar
	eventually 'the quorum is back' api_is_ready "$vip"
}
