# shellcheck shell=bash
# A LAN of network namespaces with a bridge, a laptop and nodes, and what can be done to it; sourced
# by run. Each LAN lives in $work/$lan, its namespaces are $lan-NODE, the laptop's and bridge's $lan-lan.
# Variables from run: here, work, vip, pace, card (which build the nodes' cards come from).

# A node's address; a twin's is another.
address_of() {
	case $1 in
	melchior) echo 10.0.0.11 ;;
	balthazar) echo 10.0.0.12 ;;
	caspar) echo 10.0.0.13 ;;
	twin) echo 10.0.0.23 ;;
	*) echo 10.0.0.66 ;;
	esac
}

make_lan() {
	mkdir -p "$work/$lan"
	ip netns add "$lan-lan"
	ip -n "$lan-lan" link add lan type bridge mcast_snooping 0 forward_delay 0
	ip -n "$lan-lan" addr add 10.0.0.1/24 dev lan
	ip -n "$lan-lan" link set lan up
	ip -n "$lan-lan" link set lo up
	for name; do plug "$name"; done
	"$here/watcher" "$lan" "$work/$lan" "$vip" "$work/cards/$card/melchior/etc/rancher/k3s/cluster/server-ca.crt" "$@" &
	watcher=$!
	until_true 5 test -e "$work/$lan/now"
}

# A machine's network, its cable in the bridge but without power.
plug() {
	ip netns add "$lan-$1"
	ip link add "$1" netns "$lan-lan" type veth peer name eth0 netns "$lan-$1"
	ip -n "$lan-lan" link set "$1" master lan
	ip -n "$lan-$1" link set lo up
}

remove_lan() {
	local file name
	kill "$watcher" 2>/dev/null
	for file in "$work/$lan"/*/pid; do
		[ ! -e "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null
	done
	for name in $(ip netns list | sed -n "s/^\($lan-[a-z]*\).*/\1/p"); do
		ip netns del "$name"
	done
}

root_of() {
	echo "$work/$lan/$1/root"
}

# flash NODE [NAME]: a new card, with the image of NAME (else of NODE).
flash() {
	local root file
	root=$(root_of "$1")
	rm -rf "$root"
	mkdir -p "$work/$lan/$1"
	cp -a "$work/cards/$card/${2-$1}" "$root"
	# What Debian's own programs need, and the two of systemd's that the scripts ask.
	for file in alternatives ld.so.cache nsswitch.conf passwd group; do
		rm -rf "$root/etc/$file"
		cp -a "/etc/$file" "$root/etc"
	done
	mkdir -p "$root/etc/ssl" "$root/sys/fs/cgroup" "$root/var/log" "$root/var/lib/magi/firstboot" "$root/usr/lib64"
	cp /etc/ssl/openssl.cnf "$root/etc/ssl"
	: >"$root/etc/resolv.conf"
	[ -e "$root/lib64" ] || ln -s usr/lib64 "$root/lib64"
	echo cpu memory pids >"$root/sys/fs/cgroup/cgroup.controllers"
	: >"$root/var/lib/magi/firstboot/done"
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
	cp "$here/systemctl-stand-in" "$root/usr/local/bin/systemctl"
	printf '#!/bin/sh\nexec tail -n 200 /var/log/k3s.log\n' >"$root/usr/local/bin/journalctl"
	chmod +x "$root/usr/local/bin/systemctl" "$root/usr/local/bin/journalctl"
}

# boot NODE: gives it power. Its namespaces are gone with its process 1.
boot() {
	local root
	root=$(root_of "$1")
	ip -n "$lan-$1" addr add "$(address_of "$1")/24" dev eth0
	ip -n "$lan-$1" link set eth0 up
	ip -n "$lan-$1" route add default via 10.0.0.1
	ip -n "$lan-lan" link set "$1" up
	cp "$here/supervisor" "$root/usr/local/lib/supervisor"
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
		MAGI_K3S_PAUSE=1 MAGI_K3S_SILENCE=20 MAGI_LISTEN=3 MAGI_PAUSE=3 \
		nsenter --net="/run/netns/$lan-$1" unshare --mount --uts --pid --fork --kill-child sh -c '
			hostname "$(cat "$1/etc/hostname")" && mount --make-rprivate / &&
			for folder in usr/bin usr/sbin usr/lib usr/lib64 usr/share; do mount --bind "/$folder" "$1/$folder" || exit; done &&
			mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" &&
			mount -t tmpfs run "$1/run" && mount -t tmpfs tmp "$1/tmp" &&
			{ [ -z "$2" ] || { mount -t sysfs sys "$1/sys" && mount --rbind /sys/fs/cgroup "$1/sys/fs/cgroup"; }; } &&
			exec chroot "$1" /usr/bin/python3 /usr/local/lib/supervisor 5' - "$root" "${MAGI_TEST_K3S-}" \
		</dev/null >>"$work/$lan/$1/console" 2>&1 &
	echo $! >"$work/$lan/$1/pid"
	disown # or the shell would tell of its end
}

# power_cut NODE…: takes the power away.
power_cut() {
	local name
	for name; do
		ip -n "$lan-lan" link set "$name" down
		kill -9 "$(cat "$work/$lan/$name/pid")"
		until_true 5 eval '! kill -0 "$(cat "$work/$lan/$name/pid")"'
		rm "$work/$lan/$name/pid"
		ip -n "$lan-$name" addr flush dev eth0 scope global
		ip -n "$lan-$name" link set eth0 down
	done
}

# signal NODE SIGNAL OPTION PATTERN: to the processes of the node that pgrep finds so.
signal() {
	local first
	first=$(pgrep -P "$(cat "$work/$lan/$1/pid")")
	pgrep --ns "$first" --nslist pid "$3" "$4" | xargs kill "-$2"
}

has_process() {
	pgrep --ns "$(pgrep -P "$(cat "$work/$lan/$1/pid")")" --nslist pid -x "$2"
}

# The kernel doesn't kill the node's keepalived for ten seconds of work, where its default is ten milliseconds.
may_be_busy() {
	pgrep --ns "$(pgrep -P "$(cat "$work/$lan/$1/pid")")" --nslist pid -x keepalived | sed 's/.*/\/proc\/&\/limits/' |
		xargs awk '/realtime timeout/ { seen = 1; if ($5 != "unlimited" && $5 < 1e7) few = 1 } END { exit few || !seen }'
}

signal_k3s() {
	signal "$1" "$2" -f 'bin/k3s server'
}

# --- asking

# since MICROSECONDS: seconds with one decimal.
since() {
	local tenths=$(((${EPOCHREALTIME/./} - $1) / 100000))
	echo "$((tenths / 10)).$((tenths % 10))"
}

# until_true SECONDS COMMAND…: sets $took.
until_true() {
	local start=${EPOCHREALTIME/./} limit=$(($1 * pace))
	shift
	until "$@" >/dev/null 2>&1; do
		took=$(since "$start")
		[ "${took%.*}" -lt "$limit" ] || return 1
		sleep 0.2
	done
	took=$(since "$start")
}

# ask HOST PATH [OPTION…]: from the laptop, as the admin.
ask() {
	local keys=$work/cards/$card/melchior/etc/rancher/k3s/cluster host=$1 path=$2
	shift 2
	nsenter --net="/run/netns/$lan-lan" curl --silent --max-time 5 --cacert "$keys/server-ca.crt" --cert "$keys/admin.crt" \
		--key "$keys/admin.key" "$@" "https://$host:6443$path"
}

# members HOST FILTER: what jq finds in the member list.
members() {
	local token=$work/cards/$card/melchior/etc/rancher/k3s/token
	ask "$1" /db/info --user "server:$(sed 's/.*:://; s/^server://' "$token")" | jq --exit-status --raw-output "$2"
}

# Asks several times at most each second: what it starts would slow down what it waits for.
complete() {
	is_complete || { sleep 0.4 && return 1; }
}

is_complete() {
	members "$vip" '.members | length == 3 and all(.isLearner | not) and (map(.name | sub("-[^-]*$"; "")) | sort == ["balthazar", "caspar", "melchior"])' &&
		[ "$(ask "$vip" /api/v1/nodes | jq '[.items[].status.conditions[] | select(.type == "Ready" and .status == "True")] | length')" = 3 ]
}

# back NODE: its own API answers, in a complete cluster.
back() {
	[ "$(ask "$(address_of "$1")" /readyz)" = ok ] && complete
}

member_count() {
	[ "$(members "$vip" '.members | map(select(.isLearner | not)) | length')" = "$1" ]
}

cluster_id() {
	ask "$vip" /api/v1/namespaces/kube-system | jq --exit-status --raw-output .metadata.uid
}

same_cluster() {
	[ "$(cluster_id)" = "$1" ]
}

holder() {
	sed 's/.*holders=\([^ ]*\).*/\1/' "$work/$lan/now"
}

held() {
	vip_answers && [ "$(holder)" != - ]
}

# on NODE: it alone holds the virtual address, which answers in the LAN.
on() {
	grep -q "holders=$1 .*laptop=yes" "$work/$lan/now"
}

# moved_from NODE
moved_from() {
	! on "$1" && grep -q 'holders=[a-z]* .*laptop=yes' "$work/$lan/now"
}

vip_answers() {
	grep -q laptop=yes "$work/$lan/now"
}

# says NODE PATTERN: in its status file.
says() {
	grep -q -- "$2" "$(root_of "$1")/boot/firmware/magi-status.txt"
}

has_data() {
	[ -d "$(root_of "$1")/var/lib/rancher/k3s/server/db/etcd/member/wal" ]
}

nothing_begun() {
	! has_data "$1" && [ ! -e "$(root_of "$1")/etc/rancher/k3s/config.yaml.d/10-bootstrap.yaml" ]
}

chose() {
	grep -q "$2" "$(root_of "$1")/etc/rancher/k3s/config.yaml.d/10-bootstrap.yaml"
}
