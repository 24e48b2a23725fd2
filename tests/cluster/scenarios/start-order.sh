# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Nodes are switched on one after another, in each of the six orders. Their cards have had their first boot, since
# eighteen more first boots would show nothing new; before a node creates a cluster it listens for half a minute,
# not for two.
images_for[start-order]=prepared-fixed

scenario_start-order() {
	local when_done=set_card_aside name number orders=("melchior balthazar caspar" "melchior caspar balthazar" "balthazar melchior caspar"
		"caspar melchior balthazar" "balthazar caspar melchior" "caspar balthazar melchior")
	need "credentials are in the image" take_credentials prepared-fixed || return
	for name in "${nodes[@]}"; do start "$name" prepared-fixed; done
	first_boot "${nodes[@]}" || return
	for number in ${MAGI_TEST_ORDERS:-1 2 3 4 5 6}; do
		reset_network
		start_prober
		# shellcheck disable=SC2086 # three words
		start_in_order ${orders[number - 1]} || return
	done
}

# set_card_aside NODE: after its first boot, and before k3s has written anything.
set_card_aside() {
	need "$1: k3s has not started" on "$1" 'mkdir -p /run/systemd/system/k3s.service.d &&
		printf "[Unit]\nConditionPathExists=/not-before-the-next-boot\n" >/run/systemd/system/k3s.service.d/test.conf &&
		printf "[Service]\nEnvironment=MAGI_K3S_SILENCE=30\n" >/etc/systemd/system/k3s.service.d/20-test.conf &&
		systemctl daemon-reload && systemctl stop k3s && [ ! -e /var/lib/rancher/k3s/server/db ] &&
		rm -f /var/lib/magi/status.d/k3s /boot/firmware/magi-status.*' || return
	need "$1: powers off" power_off "$1" || return
	mkdir -p "$work/aside"
	mv "$work/guests/$1" "$work/aside/$1"
}

start_with_card_set_aside() {
	mkdir -p "$work/guests"
	cp -r "$work/aside/$1" "$work/guests/$1"
	kinds[$1]=prepared-fixed
	power_on "$1"
}

start_in_order() {
	local order="$*" name melchior_is_on='' start
	start=$(now)
	for name; do
		start_with_card_set_aside "$name"
		if [ "$name" = melchior ]; then melchior_is_on=1; fi
		if [ -n "$melchior_is_on" ]; then
			need "$order: $name is a server" within "$cluster_limit" own_api_is_ready "$name" || return
		else
			need "$order: $name reports that it waits" within "$ssh_limit" status_says "$name" "k3s: waiting.*for the cluster to answer" || return
			expect "$order: $name has no etcd data" lacks_etcd_data "$name"
		fi
	done
	need "$order: one cluster of three" within "$cluster_limit" cluster_of_three || return
	record_time "$order: one cluster of three, after the last was switched on" "$(age "$name")"
	check_vip "$start"
}
