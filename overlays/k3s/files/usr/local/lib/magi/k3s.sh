# shellcheck shell=sh disable=SC2034 # used where this is sourced
# How the scripts beside this one ask k3s: sourced after lib.sh, never run.

keys=${MAGI_K3S_KEYS:-/etc/rancher/k3s/cluster}
port=${MAGI_K3S_PORT:-6443}
data=${MAGI_K3S_DATA:-/var/lib/rancher/k3s}
config=${MAGI_K3S_CONFIG:-/etc/rancher/k3s/config.yaml.d}
# What k3s itself looks at: from then on it ignores `server` and `cluster-init`.
etcd=$data/server/db/etcd/member/wal
# What k3s leaves when the cluster has removed its member: the data is without a place from then on. At its
# next start k3s puts it aside and joins, if it is told whom.
tombstone=$data/server/db/etcd/tombstone
answer=$MAGI_RUN/${0##*/}.answer

# ask HOST PORT PATH OPTION…: whom to believe is for the options to say.
ask() {
	host=$1 at=$2 path=$3
	shift 3
	curl --silent --globoff --noproxy '*' --connect-timeout 3 --max-time 5 "$@" "https://$host:$at$path"
}

# what_is HOST: `ours` answers as k3s and is vouched for by our CA; `unwell` is ours too, but its
# k3s can't talk yet, or only its etcd listens; `stranger` answers as k3s and isn't ours.
what_is() {
	ask "$1" "$port" /ping --cacert "$keys/server-ca.crt" --output /dev/null
	case $? in
	0) if [ "$(ask "$1" "$port" /ping --cacert "$keys/server-ca.crt" | head -c 16)" = pong ]; then echo ours; else echo unwell; fi ;;
	# What curl says of a certificate that it doesn't believe, or that is another's.
	51 | 60) [ "$(ask "$1" "$port" /ping --insecure | head -c 16)" != pong ] || echo stranger ;;
	# No such name, or no such machine.
	6 | 28) ;;
	*) ! etcd_listens "$1" || echo unwell ;;
	esac
}

# It wants a certificate, so an error of TLS is what a living one gives: 7 is a closed port, 28 no
# answer at all.
etcd_listens() {
	ask "$1" "${MAGI_ETCD_PORT:-2380}" / --insecure --output /dev/null
	case $? in 7 | 28) return 1 ;; esac
}

# Why a certificate isn't believed, in curl's words.
distrust() {
	ask "$1" "$port" /ping --cacert "$keys/server-ca.crt" --output /dev/null --show-error 2>&1 |
		sed 's/^curl: ([0-9]*) //'
}

# api HOST PATH [OPTION…]: asks as the cluster's admin. Prints the HTTP status, 000 where nobody
# answered; what was said is in $answer. The key's name, not the key, is what a process list shows.
api() {
	host=$1 path=$2
	shift 2
	mkdir -p "$MAGI_RUN"
	ask "$host" "$port" "$path" --max-time 20 "$@" --cacert "$keys/server-ca.crt" --cert "$keys/admin.crt" \
		--key "$keys/admin.key" --output "$answer" --write-out '%{http_code}' || :
}

# from_answer FILTER: what jq finds in the last answer; nothing if it isn't there.
from_answer() {
	jq --raw-output "$1 // empty" "$answer" 2>/dev/null
}

has_place() {
	[ -d "$etcd" ] && [ ! -e "$tombstone" ]
}

# What k3s said last before it gave up, in this boot: newer ones end by a request to themselves.
last_words() {
	journalctl --boot --unit k3s --lines 200 --output cat 2>/dev/null |
		sed -n 's/\\"/"/g; s/.*level=fatal msg="\(.*\)"$/\1/p; s/.*level=error msg="Shutdown request received: \(.*\)"$/\1/p' | tail -n 1
}

# An etcd member is bound to the address it was made with.
changed_address() {
	made_with=$(sed -n 's/^node-ip: //p' "$config/20-node-ip.yaml" 2>/dev/null)
	address=$(node_address)
	[ -n "$made_with" ] && [ "$made_with" != "$address" ]
}

say_changed_address() {
	status_set k3s failing "this node joined as $made_with" \
		"its address is now ${address:-missing}: give it $made_with again (a DHCP reservation), or flash it anew"
}
