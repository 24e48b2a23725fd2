# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# The VIP moves away from a node that fails, and stays when that node is back.

case_vip_moves_on_power_cut_and_stays_when_the_node_is_back() {
	local failed _
	start_cluster
	for _ in 1 2 3; do
		eventually 'a node holds the VIP' vip_is_held
		failed=$(vip_holder)
		power_cut "$failed"
		vip_moves_from "$failed"
		within 10 'the API answers on the VIP' is_cluster "$id"
		boot "$failed"
		vip_stays_when_back "$failed"
	done
}

case_vip_moves_when_k3s_hangs() {
	local failed
	start_cluster
	eventually 'a node holds the VIP' vip_is_held
	failed=$(vip_holder)
	signal_k3s "$failed" STOP
	vip_moves_from "$failed"
	signal_k3s "$failed" CONT
	vip_stays_when_back "$failed"
	eventually 'it is the same cluster' is_cluster "$id"
}

case_vip_moves_when_k3s_is_killed() {
	local failed
	start_cluster
	eventually 'a node holds the VIP' vip_is_held
	failed=$(vip_holder)
	signal_k3s "$failed" KILL
	vip_moves_from "$failed"
	vip_stays_when_back "$failed"
	eventually 'it is the same cluster' is_cluster "$id"
}

case_vip_moves_when_keepalived_is_killed() {
	local failed
	start_cluster
	eventually 'a node holds the VIP' vip_is_held
	failed=$(vip_holder)
	signal_keepalived "$failed" KILL
	vip_moves_from "$failed"
	eventually "keepalived of $failed runs again" runs_keepalived "$failed"
	vip_stays_when_back "$failed"
}

# vip_moves_from NODE, which has just failed.
vip_moves_from() {
	within 10 "the VIP moves away from $1" vip_left "$1"
}

# vip_stays_when_back NODE: keepalived without `nopreempt` takes the VIP back some 8 s after the API answers, when
# two checks have passed and three adverts are due.
vip_stays_when_back() {
	eventually "$1 is back" is_back "$1"
	throughout 15 "the VIP doesn't return to $1" vip_is_not_on "$1"
}

# By default the kernel kills keepalived after 10 ms of work without a pause.
case_keepalived_survives_ten_seconds_of_work() {
	local name
	start_cluster
	for name in "${nodes[@]}"; do
		eventually "keepalived runs on $name" runs_keepalived "$name"
		expect "keepalived of $name may work for 10 s" may_work_for_ten_seconds "$name"
	done
}

# The limit is in microseconds.
# shellcheck disable=SC2016 # awk's own fields
may_work_for_ten_seconds() {
	processes "$1" -x keepalived | sed 's|.*|/proc/&/limits|' | xargs awk '
		/realtime timeout/ { seen = 1; if ($5 != "unlimited" && $5 < 1e7) less = 1 }
		END { exit less || !seen }'
}
