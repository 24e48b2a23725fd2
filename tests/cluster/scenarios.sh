# Shell for the cluster test: its scenarios. Sourced by run, which opens a new
# household for each, except where the next can go on with the cluster of the last.
# shellcheck shell=bash disable=SC2154,SC2034

# Generous: software emulation on a busy machine.
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

# first_boot GUEST…: of all of them, each timed. Asked rarely: a login costs a guest seconds.
first_boot() {
	local name
	local -A stage=()
	for name; do stage[$name]=booting; done
	while [ ${#stage[@]} -gt 0 ]; do
		for name in "${!stage[@]}"; do follow "$name" || return; done
		sleep 10
	done
}

# A step further in first_boot's stage, where the guest is.
follow() {
	case ${stage[$1]} in
	booting)
		if on "$1" true >/dev/null 2>&1; then
			took "$1: ssh answers" "$(age "$1")"
			stage[$1]=reachable
		else
			not_after "$1" $ssh_limit "ssh answers"
		fi
		;;
	reachable)
		if first_boot_is_done "$1" >/dev/null 2>&1; then
			took "$1: first boot is done" "$(age "$1")"
			check "$scenario: $1: first boot is done" true
			"${when_done:-true}" "$1" || return
			unset "stage[$1]"
		else
			not_after "$1" "$(first_boot_limit "$1")" "first boot is done"
		fi
		;;
	esac
}

# not_after GUEST SECONDS WHAT: fails, and says so, when it has been on for longer.
not_after() {
	at_most "$(age "$1")" "$2" >/dev/null || need "$1: $3" at_most "$(age "$1")" "$2"
}

# cluster_of_three: seen through the virtual address and on each node's own.
cluster_of_three() {
	local name
	cluster_is "$vip" "${nodes[@]}" || return
	for name in "${nodes[@]}"; do
		own_api_is_ready "$name" || { echo "the API of $name isn't ready"; return 1; }
	done
}

# cluster_up KIND: three nodes, at once; or those of the scenario before.
cluster_up() {
	local name
	if [ "$standing" = "$1" ] && within 60 cluster_of_three; then return 0; fi
	new_household
	start_prober
	for name in "${nodes[@]}"; do start "$name" "$1"; done
	first_boot "${nodes[@]}" || return
	need "one cluster of three" within $cluster_limit cluster_of_three || return
	took "one cluster of three" "$(age melchior)"
	standing=$1
}

# --- All at once, from the base as it is

scenario_together() {
	local start name
	need "credentials are in the image" take_credentials plain-dhcp || return
	start=$(now)
	cluster_up plain-dhcp || return
	took "the VIP answered first" "$(seen first-answer "$start")"
	for name in "${nodes[@]}"; do
		expect "$name is complete, docker answers" within 120 is_complete "$name"
		expect "$name: status" within 120 status_says "$name" "node: +$name .*firstboot: done.*k3s: up"
	done
	expect "magi-image kubeconfig leads to the cluster" kubeconfig_works
	vip_was_good "$start"
	standing=''
	for name in "${nodes[@]}"; do
		expect "$name: powers off" power_off "$name"
		expect "$name: the card says so too" fat_says_done "$name"
		expect "$name: both file systems are sound" disk_is_sound "$name"
	done
}

kubeconfig_works() {
	"$bin" kubeconfig --profile "$work/images/plain-dhcp/profile.toml" --secrets "$work/secrets.toml" >"$work/laptop/kubeconfig" &&
		"${inside[@]}" "$here/with-kubeconfig" "$work/laptop/kubeconfig" /api/v1/nodes | grep -q caspar
}

# --- The archive is away for a while

scenario_archive-away() {
	local away=${MAGI_TEST_AWAY:-600}
	need "credentials are in the image" take_credentials plain-dhcp || return
	close_archive
	start melchior plain-dhcp
	need "ssh answers" within $ssh_limit on melchior true || return
	need "the status names the error" within 600 status_says melchior "firstboot: failing.*30-packages.*error: E: .*deb.debian.org" || return
	took "the status named the error" "$(age melchior)"
	sleep "$((away > SECONDS - began ? away - (SECONDS - began) : 0))"
	expect "still at it after $away s" status_says melchior "firstboot: (failing|running).*30-packages"
	open_archive
	local back
	back=$(now)
	every=10 need "it goes on by itself" within $plain_limit first_boot_is_done melchior || return
	took "first boot is done, after the archive was back" "$(seconds_since "$back")"
	need "a cluster of one" within $cluster_limit own_api_is_ready melchior || return
	expect "melchior is complete" within 120 is_complete melchior
	expect "the status has no error left" status_says melchior "firstboot: done"
}

# --- One by one, in every order

# With cards that have had their first boot, since eighteen more would show nothing new, and that
# listen for half a minute, and not for two, before they begin a cluster.
scenario_orders() {
	local when_done=put_aside name number orders=("melchior balthazar caspar" "melchior caspar balthazar" "balthazar melchior caspar"
		"caspar melchior balthazar" "balthazar caspar melchior" "caspar balthazar melchior")
	need "credentials are in the image" take_credentials prepared-fixed || return
	for name in "${nodes[@]}"; do start "$name" prepared-fixed; done
	first_boot "${nodes[@]}" || return
	for number in ${MAGI_TEST_ORDERS:-1 2 3 4 5 6}; do
		new_household
		start_prober
		# shellcheck disable=SC2086 # three words
		in_order ${orders[number - 1]} || return
	done
}

# A card of which k3s has made nothing yet.
put_aside() {
	need "$1: put aside" on "$1" 'mkdir -p /run/systemd/system/k3s.service.d &&
		printf "[Unit]\nConditionPathExists=/not-before-the-next-boot\n" >/run/systemd/system/k3s.service.d/test.conf &&
		printf "[Service]\nEnvironment=MAGI_K3S_SILENCE=30\n" >/etc/systemd/system/k3s.service.d/20-test.conf &&
		systemctl daemon-reload && systemctl stop k3s && [ ! -e /var/lib/rancher/k3s/server/db ] &&
		rm -f /var/lib/magi/status.d/k3s /boot/firmware/magi-status.*' || return
	need "$1: powers off" power_off "$1" || return
	mkdir -p "$work/aside"
	mv "$work/guests/$1" "$work/aside/$1"
}

start_put_aside() {
	mkdir -p "$work/guests"
	cp -r "$work/aside/$1" "$work/guests/$1"
	kinds[$1]=prepared-fixed
	power_on "$1"
}

in_order() {
	local order="$*" name begun='' start
	start=$(now)
	for name; do
		start_put_aside "$name"
		if [ "$name" = melchior ]; then begun=1; fi
		if [ -n "$begun" ]; then
			need "$order: $name is a server" within $cluster_limit own_api_is_ready "$name" || return
		else
			need "$order: $name waits, and says so" within $ssh_limit status_says "$name" "k3s: waiting.*for the cluster to answer" || return
			expect "$order: $name has begun nothing" lacks_etcd_data "$name"
		fi
	done
	need "$order: one cluster of three" within $cluster_limit cluster_of_three || return
	took "$order: one cluster of three, after the last was switched on" "$(age "$name")"
	vip_was_good "$start"
}

# --- A power cut on each

scenario_power-cut() {
	local left=("${nodes[@]}") name id
	need "credentials are in the image" take_credentials prepared-dhcp || return
	cluster_up prepared-dhcp || return
	learn cluster_id && id=$learned
	while [ ${#left[@]} -gt 0 ]; do
		# The holder if it is still to come, so that the address moves as often as it can.
		name=$(holder) && [[ " ${left[*]} " == *" $name "* ]] || name=${left[0]}
		lose "$name" || return
		mapfile -t left < <(printf '%s\n' "${left[@]}" | grep -vx "$name")
	done
	expect "still the same cluster" still "$id" cluster_id
}

others() { printf '%s\n' "${nodes[@]}" | grep -vx "$1"; }

# lose NODE: it goes dark, and comes back.
lose() {
	local name=$1 held='' cut kept back
	if [ "$(holder)" = "$name" ]; then held=" (it held the VIP)"; fi
	cut=$(now)
	power_cut "$name"
	need "$name is cut$held: the VIP answers" within 60 vip_answers_since "$((cut + 500))" || return
	need "$name is cut: the API is ready" within 60 is_ready "$vip" || return
	sleep 15
	took "$name is cut$held: longest time without an answer" "$(seen longest-silence "$cut")"
	expect "$name is cut: never silent for more than 10 s" at_most "$(seen longest-silence "$cut")" 10
	# shellcheck disable=SC2046 # names
	expect "$name is cut: Kubernetes notices" within 120 nodes_are $(others "$name")
	kept=$(holder)
	back=$(now)
	power_on "$name"
	need "$name is back: three again" within $cluster_limit cluster_of_three || return
	took "$name is back: three again" "$(age "$name")"
	expect "$name is back: the VIP stays where it is" is_held_by "$kept"
	expect "$name is back: never silent for more than 10 s" at_most "$(seen longest-silence "$back")" 10
	vip_was_good "$cut"
}

nodes_are() { [ "$(ready_nodes "$vip")" = "$(printf '%s\n' "$@" | sort | xargs)" ]; }

# --- A new card for each

scenario_reflash() {
	local name id
	need "credentials are in the image" take_credentials prepared-fixed || return
	cluster_up prepared-fixed || return
	learn cluster_id && id=$learned
	for name in "${nodes[@]}"; do replace "$name" "$id" || return; done
}

# replace NODE CLUSTER_ID
replace() {
	local name=$1 id=$2 before start
	learn member_of "$name" && before=$learned
	start=$(now)
	power_cut "$name"
	start "$name" prepared-fixed
	first_boot "$name" || return
	need "$name has a new card: three again" within $cluster_limit cluster_of_three || return
	took "$name has a new card: three again" "$(age "$name")"
	expect "$name has a new card: the same cluster" still "$id" cluster_id
	expect "$name has a new card: a new member in its old place" no_longer "$before" member_of "$name"
	expect "$name has a new card: its status" within 120 status_says "$name" "k3s: up"
	expect "$name has a new card: the VIP was never silent for more than 10 s" at_most "$(seen longest-silence "$start")" 10
	vip_was_good "$start"
}

# --- Power cuts during first boot

# All three at once, each again and again at moments of its own; one has all of apt's work to do.
scenario_first-boot-cuts() {
	local cuts=${MAGI_TEST_CUTS:-20} name start
	local -A due=()
	RANDOM=$seed
	echo "# $scenario: MAGI_TEST_SEED=$seed repeats this one"
	need "credentials are in the image" take_credentials prepared-dhcp || return
	start_prober
	start=$(now)
	flash melchior plain-dhcp && flash balthazar prepared-dhcp && flash caspar prepared-dhcp || return
	for name in "${nodes[@]}"; do power_on_for_a_while "$name"; done
	while [ "$cuts" -gt 0 ]; do
		sleep 1
		for name in "${nodes[@]}"; do
			if [ "$cuts" -eq 0 ] || [ "$SECONDS" -lt "${due[$name]}" ]; then continue; fi
			echo "# $scenario: $cuts to go, $name after $(age "$name") s: $(last_word_of "$name")"
			power_cut "$name"
			cuts=$((cuts - 1))
			power_on_for_a_while "$name"
		done
	done
	all_whole_after_cuts "$start"
}

# Sets the caller's due.
power_on_for_a_while() {
	choose_moment "${kinds[$1]}"
	power_on "$1"
	due[$1]=$((SECONDS + seconds))
}

all_whole_after_cuts() {
	local name
	first_boot "${nodes[@]}" || return
	need "one cluster of three" within $cluster_limit cluster_of_three || return
	took "one cluster of three, after all cuts" "$(seconds_since "$1")"
	for name in "${nodes[@]}"; do
		expect "$name: complete" within 120 is_complete "$name"
		expect "$name: status" within 120 status_says "$name" "firstboot: done.*k3s: up"
	done
	vip_was_good "$1"
	for name in "${nodes[@]}"; do
		expect "$name: powers off" power_off "$name"
		expect "$name: both file systems are sound" disk_is_sound "$name"
	done
}

# Sets $seconds, here and not in a subshell, which would have a RANDOM of its own. From
# the first seconds on; up to later for the plain base, so that apt is met.
choose_moment() {
	case $1 in
	plain-*) seconds=$((10 + RANDOM % 400)) ;;
	*) seconds=$((10 + RANDOM % 200)) ;;
	esac
}

last_word_of() {
	status_of "$1" 2>/dev/null | grep -A1 -E '^(k3s|firstboot):' | xargs || true
}

# --- What shouldn't be

scenario_unhappy() {
	need "credentials are in the image" take_credentials prepared-dhcp || return
	cluster_up prepared-dhcp || return
	twin || return
	new_household
	foreign_vip
}

# A second card of caspar's, in another Pi.
twin() {
	local id member start
	learn cluster_id && id=$learned
	learn member_of caspar && member=$learned
	start=$(now)
	start twin prepared-dhcp caspar
	first_boot twin || return
	need "a twin of caspar waits, and says so" within 300 status_says twin "k3s: waiting.*another caspar is running at" || return
	took "a twin says that it has one" "$(age twin)"
	sleep 60
	expect "a twin: the cluster is unharmed" cluster_of_three
	expect "a twin: the same cluster" still "$id" cluster_id
	expect "a twin: caspar is the one it was" still "$member" member_of caspar
	expect "a twin: it has begun nothing" lacks_etcd_data twin
	vip_was_good "$start"
	power_cut twin
	standing=''
}

# A machine of the household has the virtual address.
foreign_vip() {
	"${inside[@]}" ip address add "$vip/32" dev "$lan"
	start melchior prepared-dhcp
	first_boot melchior || return
	need "a taken VIP: it waits, and says so" within 300 status_says melchior "k3s: waiting.*duplicate address: .* is already used by" || return
	took "a taken VIP is named" "$(age melchior)"
	sleep 60
	expect "a taken VIP: it has begun nothing" lacks_etcd_data melchior
	expect "a taken VIP: it doesn't claim it" on melchior "! ip -4 address show dev eth0 | grep -qw $vip"
	"${inside[@]}" ip address del "$vip/32" dev "$lan"
	need "a VIP that is free again: it begins by itself" within $cluster_limit own_api_is_ready melchior || return
	took "it begins, after the VIP was free again" "$(age melchior)"
}
