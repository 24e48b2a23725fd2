# shellcheck shell=bash
# One LAN for each case: a bridge, nodes and other machines, each in a network namespace of its own, and
# a laptop on which the questions of cluster.sh are asked. Sourced by run, which sets here, work, vip and
# $lan, the LAN's name. Files are in $work/$lan; namespaces are named $lan-MACHINE, the laptop's is $lan-laptop.

nodes=(melchior balthazar caspar)
# shellcheck disable=SC2034 # used by the cases
init_node=melchior
gateway=10.0.0.1
declare -A address=(
	[melchior]=10.0.0.11 [balthazar]=10.0.0.12 [caspar]=10.0.0.13
	[duplicate]=10.0.0.23 # another Pi with the card of a node
	[foreign]=10.0.0.66   # a machine that is not part of the cluster
)

# make_lan MACHINE…: connects the machines, which are still off, and watches which of them holds the VIP.
make_lan() {
	local machine
	mkdir -p "$work/$lan"
	ip netns add "$lan-laptop"
	ip -n "$lan-laptop" link add lan type bridge mcast_snooping 0 forward_delay 0
	ip -n "$lan-laptop" addr add "$gateway/24" dev lan
	ip -n "$lan-laptop" link set lan up
	ip -n "$lan-laptop" link set lo up
	for machine; do connect "$machine"; done
	"$here/watcher" "$lan" "$work/$lan" "$vip" "$work/cards/$card/$init_node/etc/rancher/k3s/cluster/server-ca.crt" "$@" &
	watcher_pid=$!
	until_true 30 test -e "$work/$lan/now"
}

# connect MACHINE: with the link down, as of a machine without power.
connect() {
	ip netns add "$lan-$1"
	ip link add "$1" netns "$lan-laptop" type veth peer name eth0 netns "$lan-$1"
	ip -n "$lan-laptop" link set "$1" master lan
	ip -n "$lan-$1" link set lo up
}

# link_up MACHINE [ADDRESS]: with the node's own address by default; an empty one adds none.
link_up() {
	local address_of_machine=${2-${address[$1]}}
	[ -z "$address_of_machine" ] || ip -n "$lan-$1" addr add "$address_of_machine/24" dev eth0
	ip -n "$lan-$1" link set eth0 up
	ip -n "$lan-laptop" link set "$1" up
}

# configure_link MACHINE: as the machine's card says, where that has netplan.
configure_link() {
	local network
	if [ "$card" = cloud ]; then
		network=$(networkd_file_of "$1")
		ip -n "$lan-$1" addr add "$(sed -n 's/^Address=//p' "$network")" dev eth0
		link_up "$1" ''
		ip -n "$lan-$1" route add default via "$(sed -n 's/^Gateway=//p' "$network")"
	else
		link_up "$1"
		ip -n "$lan-$1" route add default via "$gateway"
	fi
}

# networkd_file_of MACHINE: what netplan makes for systemd-networkd of the card's /etc/netplan.
networkd_file_of() {
	local root=$work/$lan/$1/netplan
	rm -rf "$root"
	mkdir -p "$root/etc"
	cp -a "$(root_of "$1")/etc/netplan" "$root/etc"
	netplan generate --root-dir "$root" >&2
	echo "$root/run/systemd/network/10-netplan-eth0.network"
}

link_down() {
	ip -n "$lan-laptop" link set "$1" down
	ip -n "$lan-$1" addr flush dev eth0 scope global
	ip -n "$lan-$1" link set eth0 down
}

# in_lan MACHINE COMMAND…: with that machine's network.
in_lan() {
	nsenter --net="/run/netns/$lan-$1" "${@:2}"
}

# spawn MACHINE COMMAND…: as the machine's first process, in the background and in its own network, or in that
# of $network. Disowned, or the shell would report its end.
spawn() {
	mkdir -p "$work/$lan/$1"
	nsenter --net="/run/netns/$lan-${network-$1}" "${@:2}" </dev/null >>"$work/$lan/$1/console" 2>&1 &
	echo $! >"$work/$lan/$1/pid"
	disown
}

# What is already gone must not keep the rest from being removed.
remove_lan() {
	local file
	[ -z "$watcher_pid" ] || kill "$watcher_pid"
	for file in "$work/$lan"/*/pid; do
		[ ! -e "$file" ] || kill -9 "$(cat "$file")"
	done
	for file in "/run/netns/$lan"-*; do
		[ ! -e "$file" ] || ip netns del "${file##*/}"
	done
} 2>/dev/null

# --- Nodes

root_of() {
	echo "$work/$lan/$1/root"
}

# flash MACHINE [NODE]: a new card for the machine, from the image of NODE (by default of the same name).
flash() {
	local root file
	root=$(root_of "$1")
	rm -rf "$root"
	mkdir -p "$work/$lan/$1"
	cp -a "$work/cards/$card/${2-$1}" "$root"
	# The image has no Debian in it: programs are mounted from this machine, with these of its files.
	for file in alternatives ld.so.cache nsswitch.conf passwd group; do
		rm -rf "$root/etc/$file"
		cp -a "/etc/$file" "$root/etc"
	done
	mkdir -p "$root/etc/ssl" "$root/sys/fs/cgroup" "$root/var/log" "$root/var/lib/magi/firstboot" "$root/usr/lib64"
	cp /etc/ssl/openssl.cnf "$root/etc/ssl"
	rm -f "$root/etc/resolv.conf"
	: >"$root/etc/resolv.conf"
	[ -e "$root/lib64" ] || ln -s usr/lib64 "$root/lib64"
	echo cpu memory pids >"$root/sys/fs/cgroup/cgroup.controllers"
	: >"$root/var/lib/magi/firstboot/done"
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
	cp "$here/systemctl-stand-in" "$root/usr/local/bin/systemctl"
	printf '#!/bin/sh\nexec tail -n 200 /var/log/k3s.log\n' >"$root/usr/local/bin/journalctl"
	chmod +x "$root/usr/local/bin/systemctl" "$root/usr/local/bin/journalctl"
}

# boot MACHINE…: the supervisor is process 1 of the machine; its mount and process namespaces end with it.
# The scripts pause and listen for a shorter time than on a Pi.
boot() {
	local machine root
	for machine; do
		root=$(root_of "$machine")
		configure_link "$machine"
		cp "$here/supervisor" "$root/usr/local/lib/supervisor"
		spawn "$machine" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
			MAGI_K3S_PAUSE=1 MAGI_K3S_SILENCE=20 MAGI_LISTEN=3 MAGI_PAUSE=3 \
			unshare --mount --uts --pid --fork --kill-child sh "$here/enter-root" "$root" "${MAGI_TEST_K3S:+with-cgroups}"
	done
}

# power_cut MACHINE…
power_cut() {
	local machine pid
	for machine; do
		pid=$(cat "$work/$lan/$machine/pid")
		kill -9 "$pid"
		link_down "$machine"
		until_true 30 has_ended "$pid"
		rm "$work/$lan/$machine/pid"
	done
}

has_ended() {
	! kill -0 "$1" 2>/dev/null
}

# processes MACHINE OPTION PATTERN: ids of the machine's processes that pgrep finds.
processes() {
	local first
	first=$(pgrep -P "$(cat "$work/$lan/$1/pid")")
	pgrep --ns "$first" --nslist pid "$2" "$3"
}

signal_k3s() {
	processes "$1" -f 'bin/k3s server' | xargs kill "-$2"
}

signal_keepalived() {
	processes "$1" -x keepalived | xargs kill "-$2"
}

runs_keepalived() {
	processes "$1" -x keepalived
}
