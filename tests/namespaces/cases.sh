# shellcheck shell=bash
# The cases; sourced by run, which calls each in a process and LAN of its own. A case ends at its first
# check that fails, since what follows would say nothing.

all_three() {
	local name
	for name in melchior balthazar caspar; do
		[ -d "$(root_of "$name")" ] || flash "$name"
		boot "$name"
	done
}

# A running cluster for a case that is about something else: the one that all_at_once formed, once more,
# as after a power cut of all its nodes. Sets $id.
form() {
	local name
	make_lan melchior balthazar caspar "$@"
	until_true 300 test -e "$work/formed" || fail 'there is no cluster to begin with' || return
	for name in melchior balthazar caspar; do
		mkdir -p "$work/$lan/$name"
		cp -a "$work/formed/$name" "$(root_of "$name")"
	done
	all_three
	check 'a cluster to begin with' 60 complete || return
	id=$(cluster_id)
}

keep_for_others() {
	local name
	power_cut melchior balthazar caspar
	mkdir "$work/formed.new"
	for name in melchior balthazar caspar; do
		cp -a "$(root_of "$name")" "$work/formed.new/$name"
	done
	mv "$work/formed.new" "$work/formed"
}

case_all_at_once() {
	local name
	make_lan melchior balthazar caspar
	all_three
	check 'one cluster of three' 180 complete || return
	check 'the virtual address answers, by a certificate of our CA' 5 vip_answers || return
	check 'the initialising node began' 1 chose melchior 'cluster-init: true' || return
	check 'the others joined' 1 eval 'chose balthazar "server: https" && chose caspar "server: https"' || return
	for name in melchior balthazar caspar; do
		check "$name says that it is up" 10 says "$name" '^k3s: up since' || return
		check "keepalived of $name may be busy for a while" 1 may_be_busy "$name" || return
	done
	always_true
	keep_for_others
}

# in_order NODE NODE NODE: each one only after the one before has done what it can.
in_order() {
	local name begun='' start
	make_lan melchior balthazar caspar
	start=${EPOCHREALTIME/./}
	for name; do
		flash "$name"
		boot "$name"
		[ "$name" != melchior ] || begun=1
		if [ -z "$begun" ]; then
			check "$name waits and says so" 20 says "$name" 'for the cluster to answer on 10.0.0.100' || return
			check "$name begins nothing" 1 nothing_begun "$name" || return
		elif [ "$name" = melchior ]; then
			check 'melchior begins' 150 has_data melchior || return
		else
			check "$name joins" 60 has_data "$name" || return
		fi
	done
	check 'one cluster of three' 90 complete || return
	echo "ok - $case: took $(since "$start") s in all"
	always_true
}

case_order_melchior_balthazar_caspar() { in_order melchior balthazar caspar; }
case_order_melchior_caspar_balthazar() { in_order melchior caspar balthazar; }
case_order_balthazar_melchior_caspar() { in_order balthazar melchior caspar; }
case_order_balthazar_caspar_melchior() { in_order balthazar caspar melchior; }
case_order_caspar_melchior_balthazar() { in_order caspar melchior balthazar; }
case_order_caspar_balthazar_melchior() { in_order caspar balthazar melchior; }

# The address must have moved by 10 s after something happened to its holder, and stay when it is back.
moves_and_stays() {
	check "$1: the virtual address moves" 10 moved_from "$2" || return
	now=$(holder)
}

stays() {
	check "$1 is back" 60 back "$1" || return
	sleep 6
	check "the virtual address doesn't jump back to $1" 1 on "$2"
}

case_power_cuts() {
	local was now _
	form || return
	for _ in 1 2 3; do
		check 'somebody holds the virtual address' 10 held || return
		was=$(holder)
		power_cut "$was"
		moves_and_stays "power cut of $was" "$was" || return
		check 'the API answers and can be written to' 10 same_cluster "$id" || return
		boot "$was"
		stays "$was" "$now" || return
	done
	power_cut melchior balthazar caspar
	all_three
	check 'after a power cut of all three, the same cluster' 60 eval 'complete && same_cluster "$id"' || return
	always_true
}

case_api_failures() {
	local was now
	form || return
	check 'somebody holds the virtual address' 10 held || return
	was=$(holder)
	signal_k3s "$was" STOP
	moves_and_stays "k3s of $was hangs" "$was" || return
	signal_k3s "$was" CONT
	stays "$was" "$now" || return
	was=$now
	signal_k3s "$was" KILL
	moves_and_stays "k3s of $was is killed" "$was" || return
	stays "$was" "$now" || return
	was=$now
	signal "$was" KILL -x keepalived
	moves_and_stays "keepalived of $was is killed" "$was" || return
	check "keepalived of $was is back" 15 has_process "$was" keepalived || return
	sleep 5
	check 'and lets the address be' 1 on "$now" || return
	check 'the same cluster all the time' 5 same_cluster "$id" || return
	always_true
}

case_flashed_anew() {
	local name
	form || return
	for name in caspar melchior balthazar; do
		old=$(members "$vip" ".members[].name | select(startswith(\"$name-\"))")
		power_cut "$name"
		flash "$name"
		check 'the virtual address answers' 10 vip_answers || return
		boot "$name"
		check "$name takes its place again" 90 eval "complete && has_data $name" || return
		check "$name joined" 1 chose "$name" 'server: https' || return
		check "its stale member $old is gone" 1 eval "! members $vip '.members[].name' | grep -qx $old" || return
		check 'the same cluster' 5 same_cluster "$id" || return
	done
	always_true
}

# The initialising node is the one that could do harm.
case_flashed_anew_without_a_majority() {
	form || return
	power_cut melchior balthazar
	flash melchior
	check 'the virtual address moves to who is left' 10 on caspar || return
	check 'the API has lost its majority' 15 eval '[ "$(ask "$vip" /readyz --output /dev/null --write-out "%{http_code}")" = 500 ]' || return
	boot melchior
	check 'melchior waits and says so' 30 says melchior 'or has no quorum' || return
	sleep 10
	check 'melchior begins nothing' 1 nothing_begun melchior || return
	check 'caspar says so too' 10 says caspar 'waiting for the cluster to have its quorum' || return
	boot balthazar
	check 'with the majority back, melchior takes its place' 90 eval 'complete && has_data melchior' || return
	check 'the same cluster' 5 same_cluster "$id" || return
	always_true
}

# As by `kubectl delete node`, or by a card that took the place. melchior was told once to begin.
case_removed_from_the_cluster() {
	local was
	form || return
	check 'somebody holds the virtual address' 10 held || return
	removed_and_back melchior || return
	check 'somebody holds the virtual address' 10 held || return
	was=$(holder)
	removed_and_back "$was" || return
	check "the virtual address has left $was" 1 moved_from "$was" || return
	always_true
}

removed_and_back() {
	ask "$vip" "/api/v1/nodes/$1" --request DELETE --output /dev/null
	check "$1 is removed" 30 eval "! members $vip '.members[].name' | grep -q ^$1-" || return
	check "$1 takes a place again by itself" 90 eval 'complete && same_cluster "$id"' || return
	check "$1 joined" 1 chose "$1" 'server: https'
}

# The last one to know of the cluster can only be found by its address: no VIP, no name, no majority.
case_begins_nothing_beside_one_without_an_address() {
	card=dhcp
	make_lan melchior balthazar caspar
	all_three
	check 'a cluster under DHCP' 180 complete || return
	id=$(cluster_id)
	power_cut melchior balthazar caspar
	boot caspar
	check 'caspar has no majority' 60 says caspar 'waiting for the cluster to have its quorum' || return
	flash melchior
	boot melchior
	sleep 40
	check 'melchior begins nothing' 1 nothing_begun melchior || return
	check 'and says whom it has found' 30 says melchior 'belongs to this cluster, but no node has' || return
	boot balthazar
	check 'with balthazar there is the same cluster' 120 eval 'complete && same_cluster "$id"' || return
	always_true
}

case_interrupted_joins() {
	local _
	form || return
	power_cut caspar
	flash caspar
	boot caspar
	for _ in 1 2 3 4; do
		until_true 60 chose caspar 'server: https'
		sleep "0.$((RANDOM % 9))"
		power_cut caspar
		boot caspar
	done
	check 'a node cut short in joining takes its place' 90 eval 'complete && has_data caspar' || return
	check 'the same cluster' 5 same_cluster "$id" || return
	always_true
}

# stranger ADDRESS: another machine in the LAN.
stranger() {
	plug stranger
	mkdir -p "$work/$lan/stranger"
	ip -n "$lan-stranger" addr add "$1/24" dev eth0
	ip -n "$lan-stranger" link set eth0 up
	ip -n "$lan-lan" link set stranger up
}

case_address_taken_by_a_stranger() {
	make_lan melchior
	stranger "$vip"
	flash melchior
	boot melchior
	check 'melchior names who has the virtual address' 60 says melchior 'duplicate address: 10.0.0.100 is already used by .* (another machine' || return
	sleep 20
	check 'it begins nothing' 1 nothing_begun melchior || return
	ip -n "$lan-stranger" link set eth0 down
	check 'once the address is free, it begins' 150 has_data melchior || return
}

case_another_cluster_on_the_address() {
	make_lan melchior
	stranger "$vip"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$lan/other.pem" \
		-out "$work/$lan/client-ca.crt" -days 2 -subj /CN=k3s -addext "subjectAltName=IP:$vip" 2>/dev/null
	cat "$work/$lan/client-ca.crt" >>"$work/$lan/other.pem"
	nsenter --net="/run/netns/$lan-stranger" python3 tests/firstboot/k3s-server.py "$work/$lan" 6443 "$vip=other" &
	echo $! >"$work/$lan/stranger/pid"
	disown
	flash melchior
	boot melchior
	check 'melchior says that another cluster answers' 60 says melchior "$vip belongs to another cluster" || return
	sleep 15
	check 'it begins nothing' 1 nothing_begun melchior
}

case_secrets_of_another_cluster() {
	form || return
	power_cut caspar
	card=other flash caspar
	boot caspar
	check 'the card with other secrets says so' 60 says caspar 'belongs to another cluster, or this card was built with other secrets' || return
	sleep 15
	check 'it begins nothing' 1 nothing_begun caspar || return
	check 'it never holds the virtual address' 0 eval '! grep -q "holders=[^ ]*caspar" <(tail -n 1 "$work/$lan/seen")' || return
	check 'the cluster is untouched' 15 eval 'same_cluster "$id" && member_count 3' || return
	always_true
}

# Under DHCP, with a manifest that k3s refuses, and one on the LAN that speaks VRRP with our router id.
case_twin_stranger_and_refused_manifest() {
	local id was
	card=dhcp
	make_lan melchior balthazar caspar twin
	start_foreign_keepalived || return
	all_three
	check 'a cluster under DHCP beside it' 180 complete || return
	id=$(cluster_id)
	check 'the stranger is named in the status' 30 says melchior 'router id 51 is also used by 10.0.0.66' || return
	check 'the refused manifest is named in the status' 30 says melchior 'refused.yaml' || return
	flash twin caspar
	boot twin
	check 'a second caspar says that one is alive' 60 says twin 'another caspar is running at 10.0.0.13' || return
	sleep 15
	check 'the twin begins nothing' 1 nothing_begun twin || return
	check 'the cluster is untouched' 15 eval 'complete && same_cluster "$id"' || return
	power_cut caspar
	check 'once the first is off, the second takes its place' 90 eval 'has_data twin && complete && same_cluster "$id"' || return
	boot caspar
	sleep 10
	check 'the first, switched on again, does no harm' 10 eval 'complete && same_cluster "$id"' || return
	check 'and says that another has its place' 60 says caspar 'another caspar is running at' || return
	was=$(holder)
	power_cut "$was"
	check "the holder's power is cut: the address moves" 15 moved_from "$was" || return
	always_true
}

start_foreign_keepalived() {
	stranger 10.0.0.66
	printf '%s\n' 'vrrp_instance other {' 'state MASTER' 'interface eth0' 'virtual_router_id 51' 'priority 250' 'advert_int 1' \
		'authentication {' 'auth_type PASS' 'auth_pass 1111' '}' 'virtual_ipaddress {' '10.0.0.77/24' '}' '}' \
		>"$work/$lan/stranger/keepalived.conf"
	nsenter --net="/run/netns/$lan-stranger" keepalived --dont-fork --log-console --vrrp \
		--use-file "$work/$lan/stranger/keepalived.conf" --pid "$work/$lan/stranger/pid" \
		--vrrp_pid "$work/$lan/stranger/vrrp-pid" >"$work/$lan/stranger/console" 2>&1 &
	disown
	check 'a stranger with our router id' 20 eval 'ip -n "$lan-stranger" addr | grep -q 10.0.0.77/'
}

# --- the stand-in itself: what it must refuse, or the rest would prove nothing

# alone NODE ADDRESS LINE: a card in the laptop's loopback, told by hand how to begin.
alone() {
	flash "$1"
	echo "node-ip: $2" >"$(root_of "$1")/etc/rancher/k3s/config.yaml.d/20-node-ip.yaml"
	echo "$3" >"$(root_of "$1")/etc/rancher/k3s/config.yaml.d/10-bootstrap.yaml"
}

start_alone() {
	K3S_STAND_IN_ROOT=$(root_of "$1") nsenter --net="/run/netns/$lan-lan" tests/cluster/k3s-stand-in server \
		>"$work/$lan/$1/console" 2>&1 </dev/null &
	echo $! >"$work/$lan/$1/pid"
	disown
}

# refuses WHAT NODE PATTERN: it ends, and that is its last line.
refuses() {
	start_alone "$2"
	check "refuses $1" 30 eval "! kill -0 \$(cat '$work/$lan/$2/pid') && tail -n 1 '$work/$lan/$2/console' | grep -q 'level=fatal.*$3'"
}

case_stand_in() {
	local root
	[ -z "${MAGI_TEST_K3S-}" ] || { echo "ok - $case # skipped, with a real k3s"; return; }
	vip=127.0.0.1
	make_lan melchior
	alone melchior 127.0.0.11 'cluster-init: true'
	root=$(root_of melchior)
	chmod 644 "$root/var/lib/rancher/k3s/server/tls/client-ca.key"
	refuses 'a key that others can read' melchior 'client-ca.key is readable by others' || return
	chmod 600 "$root/var/lib/rancher/k3s/server/tls/client-ca.key"
	sed -i 's/^K10../K1000/' "$root/etc/rancher/k3s/token"
	refuses 'a token of another CA' melchior 'token CA hash does not match' || return
	alone melchior 10.0.0.100 'cluster-init: true'
	refuses 'the virtual address as its own' melchior 'is the virtual address' || return
	alone melchior 127.0.0.11 '# nothing'
	refuses 'neither to begin nor to join' melchior 'neither cluster-init nor server' || return
	alone melchior 127.0.0.11 'cluster-init: true'
	rm "$(root_of melchior)/var/lib/rancher/k3s/server/tls/etcd/peer-ca.key"
	refuses 'to begin without a CA' melchior 'peer-ca.key is missing' || return
	members_come_and_go
}

# Each on its loopback address; 127.0.0.1 is nobody's, so that the API is asked by the node's own.
members_come_and_go() {
	alone melchior 127.0.0.11 'cluster-init: true'
	start_alone melchior
	vip=127.0.0.11
	check 'begins' 30 same_ready 127.0.0.11 || return
	alone balthazar 127.0.0.12 'server: https://127.0.0.11:6443'
	start_alone balthazar
	check 'adds a learner' 30 members 127.0.0.11 '.members | length == 2' || return
	# A learner that says nothing stays one.
	kill -STOP "$(cat "$work/$lan/balthazar/pid")"
	alone caspar 127.0.0.13 'server: https://127.0.0.11:6443'
	refuses 'a second learner' caspar 'etcdserver: too many learner members in cluster' || return
	kill -CONT "$(cat "$work/$lan/balthazar/pid")"
	check 'promotes the first' 30 member_count 2 || return
	start_alone caspar
	check 'a cluster of three' 30 complete || return
	kill -9 "$(cat "$work/$lan/caspar/pid")"
	mv "$(root_of caspar)" "$work/$lan/caspar/old"
	alone caspar 127.0.0.13 'server: https://127.0.0.12:6443'
	refuses 'a duplicate' caspar 'duplicate node name found, please use a unique name for this node' || return
	check 'a node that is gone becomes Unknown' 30 eval 'ask 127.0.0.12 /api/v1/nodes/caspar | jq --exit-status ".status.conditions[] | select(.type == \"Ready\" and .status == \"Unknown\")"' || return
	ask 127.0.0.12 /api/v1/nodes/caspar --request DELETE --output /dev/null
	check 'a deleted node takes its member with it' 30 members 127.0.0.11 '.members | length == 2' || return
	start_alone caspar
	check 'a new one takes its place' 30 complete || return
	kill -9 "$(cat "$work/$lan/caspar/pid")"
	rm -rf "$(root_of caspar)"
	mv "$work/$lan/caspar/old" "$(root_of caspar)"
	start_alone caspar
	check 'a removed member says so' 30 grep -q 'this node has been removed from the cluster' "$work/$lan/caspar/console" || return
	check 'and has no API any more' 10 eval '[ "$(ask 127.0.0.13 /livez --output /dev/null --write-out "%{http_code}")" = 503 ]' || return
	kill -9 "$(cat "$work/$lan/caspar/pid")"
	refuses 'to take it in beside the one that has its place' caspar 'duplicate node name found' || return
	kill -9 "$(cat "$work/$lan/balthazar/pid")"
	check 'has no majority any more' 30 eval '[ "$(ask 127.0.0.11 /readyz --output /dev/null --write-out "%{http_code}")" = 500 ]' || return
	check 'answers /ping all the same' 1 eval '[ "$(ask 127.0.0.11 /ping)" = pong ]' || return
	check 'and writes nothing' 1 eval '[ "$(ask 127.0.0.11 /api/v1/nodes/caspar --request DELETE --output /dev/null --write-out "%{http_code}")" = 500 ]' || return
	start_alone balthazar
	check 'has its majority again' 30 same_ready 127.0.0.11 || return
}

same_ready() {
	[ "$(ask "$1" /readyz)" = ok ]
}
