# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Each node in turn loses its power for a while.
images_for[power-cut]=prepared-dhcp

scenario_power-cut() {
	local left=("${nodes[@]}") name id
	need "credentials are in the image" take_credentials prepared-dhcp || return
	start_cluster prepared-dhcp || return
	ask_repeatedly cluster_id && id=$answer
	while [ ${#left[@]} -gt 0 ]; do
		# The holder of the VIP, unless it had its turn, so that the VIP moves as often as possible.
		name=$(holder) && [[ " ${left[*]} " == *" $name "* ]] || name=${left[0]}
		cut_and_restore "$name" || return
		mapfile -t left < <(printf '%s\n' "${left[@]}" | grep -vx "$name")
	done
	expect "still the same cluster" is_unchanged "$id" cluster_id
}

others() { printf '%s\n' "${nodes[@]}" | grep -vx "$1"; }

cut_and_restore() {
	local name=$1 held='' cut kept back
	if [ "$(holder)" = "$name" ]; then held=" (it held the VIP)"; fi
	cut=$(now)
	power_cut "$name"
	need "$name is cut$held: the VIP answers" within 60 vip_answers_since "$((cut + 500))" || return
	need "$name is cut: the API is ready" within 60 is_ready "$vip" || return
	sleep 15
	record_time "$name is cut$held: longest time without an answer" "$(probe_report longest-silence "$cut")"
	expect "$name is cut: never silent for more than 10 s" at_most "$(probe_report longest-silence "$cut")" 10
	# shellcheck disable=SC2046 # names
	expect "$name is cut: Kubernetes notices" within 120 nodes_are $(others "$name")
	kept=$(holder)
	back=$(now)
	power_on "$name"
	need "$name is back: three again" within "$cluster_limit" cluster_of_three || return
	record_time "$name is back: three again" "$(age "$name")"
	expect "$name is back: the VIP stays where it is" is_held_by "$kept"
	expect "$name is back: never silent for more than 10 s" at_most "$(probe_report longest-silence "$back")" 10
	check_vip "$cut"
}

nodes_are() { [ "$(ready_nodes "$vip")" = "$(printf '%s\n' "$@" | sort | xargs)" ]; }
