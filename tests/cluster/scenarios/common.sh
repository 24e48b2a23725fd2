# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Steps and limits that the scenarios share. A scenario is the function scenario_NAME in scenarios/NAME.sh; its
# first check that fails with `need` ends it.

# In seconds. Generous: the guests are emulated, on a machine that may be busy.
ssh_limit=900
plain_limit=7200
prepared_limit=2400
cluster_limit=900

first_boot_limit() {
	case ${kinds[$1]} in
	plain-*) echo $plain_limit ;;
	*) echo $prepared_limit ;;
	esac
}

# start GUEST KIND [NODE]: with a new card.
start() {
	flash "$@" && power_on "$1"
}

# first_boot GUEST…: waits for all of them, and records the time of each. $when_done GUEST runs after each. Polls
# rarely, since a login costs a guest seconds.
first_boot() {
	local name
	local -A stage=()
	for name; do stage[$name]=booting; done
	while [ ${#stage[@]} -gt 0 ]; do
		for name in "${!stage[@]}"; do follow_first_boot "$name" || return; done
		sleep 10
	done
}

# Updates first_boot's stage of a guest.
follow_first_boot() {
	case ${stage[$1]} in
	booting)
		if on "$1" true >/dev/null 2>&1; then
			record_time "$1: ssh answers" "$(age "$1")"
			stage[$1]=reachable
		else
			not_after "$1" "$ssh_limit" "ssh answers"
		fi
		;;
	reachable)
		if first_boot_is_done "$1" >/dev/null 2>&1; then
			record_time "$1: first boot is done" "$(age "$1")"
			check "$scenario: $1: first boot is done" true
			"${when_done:-true}" "$1" || return
			unset "stage[$1]"
		else
			not_after "$1" "$(first_boot_limit "$1")" "first boot is done"
		fi
		;;
	esac
}

# not_after GUEST SECONDS WHAT: fails once the guest has been on for longer.
not_after() {
	at_most "$(age "$1")" "$2" >/dev/null || need "$1: $3" at_most "$(age "$1")" "$2"
}

# Seen through the VIP and on each node's own address.
cluster_of_three() {
	local name
	cluster_is "$vip" "${nodes[@]}" || return
	for name in "${nodes[@]}"; do
		own_api_is_ready "$name" || { echo "the API of $name isn't ready"; return 1; }
	done
}

# start_cluster KIND: a cluster of three new nodes, or the one that the scenario before has left running.
start_cluster() {
	local name
	if [ "$running_kind" = "$1" ] && within 60 cluster_of_three; then return 0; fi
	reset_network
	start_prober
	for name in "${nodes[@]}"; do start "$name" "$1"; done
	first_boot "${nodes[@]}" || return
	need "one cluster of three" within "$cluster_limit" cluster_of_three || return
	record_time "one cluster of three" "$(age melchior)"
	running_kind=$1
}
