# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Power cuts during first boot, of all three nodes at once, each at moments of its own; one node has packages to
# install.
images_for[first-boot-power-cuts]='plain-dhcp prepared-dhcp'

scenario_first-boot-power-cuts() {
	local cuts=${MAGI_TEST_CUTS:-20} name start
	local -A due=()
	RANDOM=$seed
	echo "# $scenario: repeat with MAGI_TEST_SEED=$seed"
	need "credentials are in the image" take_credentials prepared-dhcp || return
	start_prober
	start=$(now)
	flash melchior plain-dhcp && flash balthazar prepared-dhcp && flash caspar prepared-dhcp || return
	for name in "${nodes[@]}"; do power_on_for_a_while "$name"; done
	while [ "$cuts" -gt 0 ]; do
		sleep 1
		for name in "${nodes[@]}"; do
			if [ "$cuts" -eq 0 ] || [ "$SECONDS" -lt "${due[$name]}" ]; then continue; fi
			echo "# $scenario: $cuts to go, $name after $(age "$name") s: $(status_line_of "$name")"
			power_cut "$name"
			cuts=$((cuts - 1))
			power_on_for_a_while "$name"
		done
	done
	check_after_cuts "$start"
}

# Sets the caller's due.
power_on_for_a_while() {
	choose_moment "${kinds[$1]}"
	power_on "$1"
	due[$1]=$((SECONDS + seconds))
}

check_after_cuts() {
	local name
	first_boot "${nodes[@]}" || return
	need "one cluster of three" within "$cluster_limit" cluster_of_three || return
	record_time "one cluster of three, after all cuts" "$(seconds_since "$1")"
	for name in "${nodes[@]}"; do
		expect "$name: complete" within 120 is_complete "$name"
		expect "$name: status" within 120 status_says "$name" "firstboot: done.*k3s: up"
	done
	check_vip "$1"
	for name in "${nodes[@]}"; do
		expect "$name: powers off" power_off "$name"
		expect "$name: both file systems are sound" disk_is_sound "$name"
	done
}

# Sets $seconds. Not in a subshell, which would have a RANDOM of its own. Longer for the plain base, so that cuts
# meet apt.
choose_moment() {
	case $1 in
	plain-*) seconds=$((10 + RANDOM % 400)) ;;
	*) seconds=$((10 + RANDOM % 200)) ;;
	esac
}

status_line_of() {
	status_of "$1" 2>/dev/null | grep -A1 -E '^(k3s|firstboot):' | xargs || true
}
