# shellcheck shell=bash
# Shared by the tests of k3s-bootstrap and k3s-report: the cluster's certificates, servers that answer
# as k3s, and a node with a k3s configuration. Loaded after helpers.bash.

keys=$BATS_RUN_TMPDIR/cluster-keys
# A port of this test's own, so that two runs on one machine don't meet.
k3s_port=$((20000 + $$ % 10000))
server_pids=()

# --- certificates

# For setup_file: the keys are made once and shared by all files.
create_cluster_keys() {
	[ ! -e "$keys/admin.pem" ] || return 0
	local addresses
	addresses=$(printf ',IP:127.0.1.%s' $(seq 30))
	mkdir -p "$keys"
	create_authority server-ca
	create_authority client-ca
	create_authority other-ca
	create_certificate our server-ca /CN=k3s "subjectAltName=IP:127.0.0.1$addresses"
	create_certificate other other-ca /CN=k3s "subjectAltName=IP:127.0.0.1$addresses"
	create_certificate admin client-ca /O=system:masters/CN=magi-admin ''
}

create_authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$keys/$1.key" -out "$keys/$1.crt" 2>/dev/null
}

# create_certificate NAME AUTHORITY SUBJECT EXTENSION
create_certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" \
		-keyout "$keys/$1.key" -out "$keys/$1.csr" 2>/dev/null
	openssl x509 -req -days 2 -in "$keys/$1.csr" -CA "$keys/$2.crt" -CAkey "$keys/$2.key" -CAcreateserial \
		-extfile <(echo "$4") -out "$keys/$1.crt" 2>/dev/null
	cat "$keys/$1.crt" "$keys/$1.key" >"$keys/$1.pem"
}

# --- servers

# start_server ADDRESS BEHAVIOUR: k3s-server.py lists the behaviours.
start_server() {
	launch_server "$@"
	wait_until accepts_connections "$1"
}

launch_server() {
	"$python" "$BATS_TEST_DIRNAME/k3s-server.py" "$keys" "$k3s_port" "$1=$2" 3>&- &
	server_pids+=($!)
}

accepts_connections() {
	(: <"/dev/tcp/$1/$k3s_port") 2>/dev/null
}

teardown() {
	[ ${#server_pids[@]} = 0 ] || kill "${server_pids[@]}"
}

# --- the node

# new_k3s_node [MAGI_NAME=VALUE…]: a node whose k3s hasn't joined a cluster yet.
new_k3s_node() {
	new_node "$@"
	export MAGI_K3S_CONFIG=$node/config.yaml.d MAGI_K3S_DATA=$node/data MAGI_K3S_PORT=$k3s_port \
		MAGI_K3S_KEYS=$keys MAGI_CGROUPS=$node/cgroups MAGI_MACHINE_ID=$node/machine-id MAGI_K3S_SILENCE=0
	mkdir -p "$MAGI_K3S_CONFIG"
	echo 'cpu memory pids' >"$node/cgroups"
	echo this-card >"$node/machine-id"
	decision=$MAGI_K3S_CONFIG/10-bootstrap.yaml
}

# has_joined_as ADDRESS: the node is a member with etcd data.
has_joined_as() {
	mkdir -p "$MAGI_K3S_DATA/server/db/etcd/member/wal"
	echo "node-ip: $1" >"$MAGI_K3S_CONFIG/20-node-ip.yaml"
}

# The cluster has removed the node's etcd member.
is_removed() {
	: >"$MAGI_K3S_DATA/server/db/etcd/tombstone"
}

# k3s_logged LINE: the journal of k3s.
k3s_logged() {
	printf "cat <<'END'\n%s\nEND\n" "$1" | fake journalctl
}

# --- k3s-bootstrap

run_bootstrap() {
	on_node sh "$MAGI_LIB/k3s-bootstrap" 2>"$SCRATCH/bootstrap.log"
}

# assert_joins ADDRESS
assert_joins() {
	run_bootstrap
	assert_equal "server: https://$1:$k3s_port" "$(cat "$decision")"
}

assert_creates_cluster() {
	run_bootstrap
	assert_equal 'cluster-init: true' "$(cat "$decision")"
}

# The bootstrap is killed in its twelfth pause; it has decided nothing until then.
assert_keeps_waiting() {
	fake sleep <<<'[ "$(grep -c ^sleep "$CALLS")" -lt 12 ] || kill -9 $PPID'
	local exit_code=0
	run_bootstrap || exit_code=$?
	assert_equal 137 "$exit_code"
	[ ! -e "$decision" ] || fail "decided: $(cat "$decision")"
	assert_status '^k3s: \(waiting\|failing\) since'
}
