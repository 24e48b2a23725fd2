# shellcheck shell=sh disable=SC2034 # the variables are used by the scripts that source this file
# Functions that query k3s on this and other nodes: sourced after lib.sh, never run.

keys=${MAGI_K3S_KEYS:-/etc/rancher/k3s/cluster}
port=${MAGI_K3S_PORT:-6443}
data=${MAGI_K3S_DATA:-/var/lib/rancher/k3s}
config=${MAGI_K3S_CONFIG:-/etc/rancher/k3s/config.yaml.d}
# Once this folder exists, k3s ignores `server` and `cluster-init`.
etcd=$data/server/db/etcd/member/wal
# k3s writes this file when the cluster has removed its etcd member, which makes the data useless. At its
# next start k3s moves the data aside and joins again, if `server` names a node of the cluster.
tombstone=$data/server/db/etcd/tombstone
answer=$MAGI_RUN/${0##*/}.answer

# ask HOST PORT PATH OPTION…: curl with timeouts. The options decide which certificate is accepted.
ask() {
	host=$1 at=$2 path=$3
	shift 3
	curl --silent --globoff --noproxy '*' --connect-timeout 3 --max-time 5 "$@" "https://$host:$at$path"
}

# probe HOST: prints `ours` for a k3s server with a certificate of the cluster's CA, `unready` for a node of
# this cluster whose k3s does not answer properly, or where only etcd listens, `foreign` for a k3s server with
# another certificate, and nothing where no node answers.
probe() {
	ask "$1" "$port" /ping --cacert "$keys/server-ca.crt" --output /dev/null
	case $? in
	0) if [ "$(ask "$1" "$port" /ping --cacert "$keys/server-ca.crt" | head -c 16)" = pong ]; then echo ours; else echo unready; fi ;;
	# curl: the certificate is not trusted, or is for another host.
	51 | 60) [ "$(ask "$1" "$port" /ping --insecure | head -c 16)" != pong ] || echo foreign ;;
	# curl: no such name, or a timeout.
	6 | 28) ;;
	*) ! etcd_listens "$1" || echo unready ;;
	esac
}

# etcd wants a client certificate, so a TLS error means that it runs. curl's status 7 is a closed port, 28 a
# timeout.
etcd_listens() {
	ask "$1" "${MAGI_ETCD_PORT:-2380}" / --insecure --output /dev/null
	case $? in 7 | 28) return 1 ;; esac
}

# certificate_error HOST: curl's reason for not trusting the certificate.
certificate_error() {
	ask "$1" "$port" /ping --cacert "$keys/server-ca.crt" --output /dev/null --show-error 2>&1 |
		sed 's/^curl: ([0-9]*) //'
}

# api HOST PATH [OPTION…]: a request as the cluster's admin. Prints the HTTP status, or 000 without an
# answer; the body goes to $answer. The process list shows the name of the key file, never the key.
api() {
	host=$1 path=$2
	shift 2
	mkdir -p "$MAGI_RUN"
	ask "$host" "$port" "$path" --max-time 20 "$@" --cacert "$keys/server-ca.crt" --cert "$keys/admin.crt" \
		--key "$keys/admin.key" --output "$answer" --write-out '%{http_code}' || :
}

# from_answer FILTER: applies a jq filter to the last answer; prints nothing for a missing value.
from_answer() {
	jq --raw-output "$1 // empty" "$answer" 2>/dev/null
}

# This node has etcd data, and the cluster has not removed its etcd member.
is_member() {
	[ -d "$etcd" ] && [ ! -e "$tombstone" ]
}

# The last fatal error of k3s in this boot. Newer versions of k3s end with a shutdown request to themselves.
last_k3s_error() {
	journalctl --boot --unit k3s --lines 200 --output cat 2>/dev/null |
		sed -n 's/\\"/"/g; s/.*level=fatal msg="\(.*\)"$/\1/p; s/.*level=error msg="Shutdown request received: \(.*\)"$/\1/p' | tail -n 1
}

# The address of an etcd member is fixed when the node joins.
address_changed() {
	member_address=$(sed -n 's/^node-ip: //p' "$config/20-node-ip.yaml" 2>/dev/null)
	address=$(node_address)
	[ -n "$member_address" ] && [ "$member_address" != "$address" ]
}

report_changed_address() {
	status_set k3s failing "this node joined the cluster as $member_address" \
		"its address is now ${address:-missing}: restore $member_address (DHCP reservation), or flash the card again"
}
