# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Each node in turn is replaced by one with a new card.
images_for[reflash]=prepared-fixed

scenario_reflash() {
	local name id
	need "credentials are in the image" take_credentials prepared-fixed || return
	start_cluster prepared-fixed || return
	ask_repeatedly cluster_id && id=$answer
	for name in "${nodes[@]}"; do replace "$name" "$id" || return; done
}

# replace NODE CLUSTER_ID
replace() {
	local name=$1 id=$2 before start
	ask_repeatedly member_of "$name" && before=$answer
	start=$(now)
	power_cut "$name"
	start "$name" prepared-fixed
	first_boot "$name" || return
	need "$name has a new card: three again" within "$cluster_limit" cluster_of_three || return
	record_time "$name has a new card: three again" "$(age "$name")"
	expect "$name has a new card: the same cluster" is_unchanged "$id" cluster_id
	expect "$name has a new card: a new member in its old place" has_changed "$before" member_of "$name"
	expect "$name has a new card: its status" within 120 status_says "$name" "k3s: up"
	expect "$name has a new card: the VIP was never silent for more than 10 s" at_most "$(probe_report longest-silence "$start")" 10
	check_vip "$start"
}
