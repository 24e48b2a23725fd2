# The checks of the cluster test: questions to the cluster, a guest and the VIP, and how results are recorded.
# Sourced by run. Asks only what real k3s answers too: /ping, /readyz, the Kubernetes API with the admin
# certificate, /db/info.
# shellcheck shell=bash disable=SC2154,SC2034

# need NAME COMMAND…: a check without which the rest of the scenario is pointless: `need … || return`.
need() {
	local before=$failed
	check "$scenario: $1" "${@:2}"
	[ "$failed" -eq "$before" ]
}

expect() { check "$scenario: $1" "${@:2}"; }

# record_time WHAT SECONDS: a line of the table of times. With the machine's load, since a busy machine slows the
# emulated guests down.
record_time() {
	local load
	read -r load _ </proc/loadavg
	echo "# $scenario: $1: $2 s (load $load)"
	printf '| %s | %s | %s | %s |\n' "$scenario" "$1" "$2" "$load" >>"$work/times"
}

# --- The cluster, asked from the laptop

# take_credentials KIND: the admin's certificate and key, from an image.
take_credentials() {
	local name
	mkdir -p "$work/laptop"
	for name in server-ca.crt admin.crt admin.key; do
		file_in_image "$(image_of "$1" melchior)" "/etc/rancher/k3s/cluster/$name" >"$work/laptop/$name"
		[ -s "$work/laptop/$name" ] || { echo "$name is not in the image"; return 1; }
	done
}

# api HOST PATH: the answer's body; fails unless the status is 2xx.
api() {
	"${inside[@]}" curl --silent --show-error --fail --max-time 8 --noproxy '*' --cacert "$work/laptop/server-ca.crt" \
		--cert "$work/laptop/admin.crt" --key "$work/laptop/admin.key" "https://$1:6443$2"
}

# from_json EXPRESSION: of Python, with the document on stdin as `it`.
from_json() { python3 -c "import json, sys; it = json.loads(sys.stdin.read() or sys.exit(1)); print($1)"; }

is_ready() { [ "$(api "$1" /readyz)" = ok ]; }

# Names of the nodes that are ready, in one line.
ready_nodes() {
	api "$1" /api/v1/nodes | from_json '" ".join(sorted(n["metadata"]["name"] for n in it["items"]
		if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"]["conditions"])))'
}

# etcd's members with a vote, without the random suffix of their names.
members() {
	api "$1" /db/info | from_json '" ".join(sorted(m["name"].rpartition("-")[0] or "(unnamed)" for m in it["members"]
		if not m.get("isLearner")))'
}

# member_of NODE: the name of its etcd member; each card of a node has a new one.
member_of() { api "$vip" /db/info | from_json "[m[\"name\"] for m in it[\"members\"] if m[\"name\"].startswith(\"$1-\")]"; }

# ask_repeatedly COMMAND…: until it prints something, which then is in $answer.
ask_repeatedly() {
	local end=$((SECONDS + 120))
	until answer=$("$@" 2>/dev/null) && [ -n "$answer" ]; do
		if [ "$SECONDS" -ge "$end" ]; then return 1; fi
		sleep 3
	done
}

# is_unchanged BEFORE COMMAND…: the command still prints BEFORE.
is_unchanged() {
	local before=$1
	shift
	ask_repeatedly "$@" || { echo "no answer"; return 1; }
	[ "$answer" = "$before" ] || { echo "was: $before"; echo "is: $answer"; return 1; }
}

has_changed() { ask_repeatedly "${@:2}" && [ "$answer" != "$1" ]; }

# cluster_is HOST NODE…: these nodes and no others are ready and have a vote.
cluster_is() {
	local host=$1 wanted got
	shift
	wanted=$(printf '%s\n' "$@" | sort | tr '\n' ' ')
	got="$(ready_nodes "$host") / $(members "$host")"
	[ "$got" = "${wanted% } / ${wanted% }" ] || { echo "wanted twice: $wanted; ready / members: $got"; return 1; }
}

# Another cluster has another id.
cluster_id() { api "$vip" /api/v1/namespaces/kube-system | from_json 'it["metadata"]["uid"]'; }

# --- One guest

first_boot_is_done() { on "$1" test -e /var/lib/magi/firstboot/done; }

status_of() { on "$1" cat /boot/firmware/magi-status.txt; }

# status_says GUEST REGEX: within the status file on the guest's FAT, as one line.
status_says() {
	local text
	text=$(status_of "$1" | tr '\n' ' ')
	echo "$text"
	grep -Eq "$2" <<<"$text"
}

own_api_is_ready() { is_ready "$(address "$1")"; }

lacks_etcd_data() { on "$1" test ! -e /var/lib/rancher/k3s/server/db/etcd/member/wal; }

# shellcheck disable=SC2016 # for the guest's shell
is_complete() {
	on "$1" 'set -e
		test -e /var/lib/magi/firstboot/done
		test -z "$(dpkg --audit)"
		for unit in docker keepalived k3s nftables; do systemctl is-active --quiet $unit || { echo $unit; exit 1; }; done
		docker version --format "{{.Server.Version}}"
		failed=$(systemctl --failed --plain --no-legend)
		[ -z "$failed" ] || { echo "$failed"; exit 1; }'
}

# Both file systems of a guest that was powered off cleanly.
disk_is_sound() {
	local raw=$work/card.raw start size name=$1
	raw_card "$name" "$raw" || return
	start=$(part_start "$raw" c)
	size=$(part_size "$raw" c)
	dd if="$raw" of="$work/card.fat" bs=512 skip="$start" count="$size" conv=sparse status=none
	fsck.vfat -n "$work/card.fat" && e2fsck -fn "$raw?offset=$(($(part_start "$raw" 83) * 512))"
	local result=$?
	rm -f "$raw" "$work/card.fat"
	return $result
}

# fat_says_done GUEST: on the card of a guest that is off.
fat_says_done() {
	local text
	text=$(file_on_fat "$1" magi-status.txt | tr '\n' ' ')
	echo "$text"
	grep -Eq "node: +$1 .*firstboot: done.*k3s: up" <<<"$text"
}

# --- The VIP

start_prober() {
	: >"$work/probes"
	"${inside[@]}" "$here/prober" watch "$vip" "$work/laptop/server-ca.crt" "$lan" >>"$work/probes" 2>>"$work/prober.log" &
	prober_pid=$!
}

# probe_report WHAT FROM [TO]: a line of the prober's report.
probe_report() { "$here/prober" report "$work/probes" "${@:2}" | sed -n "s/^$1 //p"; }

# The guest that last answered ARP requests for the VIP.
holder() {
	local mac name
	mac=$(awk '$2 == "arp" { mac = $3 } END { print mac }' "$work/probes")
	for name in "${!pids[@]}"; do
		if [ "$(mac_of "$name")" = "$mac" ]; then echo "$name"; return; fi
	done
	return 1
}

vip_answers_since() { [ "$(probe_report first-answer "$1")" != never ]; }

is_held_by() { [ "$(holder)" = "$1" ] || { holder; return 1; }; }

at_most() { [ "${1%.*}" -lt "$2" ] || { echo "$1 s"; return 1; }; }

# check_vip FROM: since then.
check_vip() {
	expect "the VIP was never on two nodes" [ "$(probe_report held-by-two "$1")" = 0 ]
	expect "the VIP was never for more than 10 s on a node that doesn't answer" at_most "$(probe_report longest-held-silently "$1")" 10
}
