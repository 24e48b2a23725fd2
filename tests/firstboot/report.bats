#!/usr/bin/env bats
# `k3s-report`: the state of k3s on a member, as the status shows it.

load helpers
load k3s

setup_file() {
	create_cluster_keys
}

setup() {
	new_k3s_node MAGI_INIT=yes
	has_joined_as "$caspar_ip"
}

# `fake curl` stands in for the API: it gets the URL last, prints the HTTP status and writes the
# answer to $ANSWER.
run_report() {
	ANSWER=$MAGI_RUN/k3s-report.answer on_node sh "$MAGI_LIB/k3s-report"
}

# service_is STATE: the SubState of k3s.service.
service_is() {
	fake systemctl <<<"[ \$1 != show ] || echo $1"
}

@test "report shows that the node's k3s is up" {
	fake curl <<<'echo 200'
	run_report
	assert_status '^k3s: up since'
	assert_status '^  a server of the cluster magi$'
	refute_status error
}

@test "report restarts k3s to let a removed member join again" {
	is_removed
	for state in running start; do
		: >"$CALLS"
		service_is "$state"
		run_report
		assert_file_contains "$CALLS" '^systemctl restart --no-block k3s$'
	done
	assert_status '^k3s: waiting'
	assert_status 'error: the cluster has removed this node'
}

@test "report does not restart k3s while k3s-bootstrap runs for a removed member" {
	is_removed
	service_is start-pre
	run_report
	assert_file_contains "$CALLS" '^systemctl show'
	refute_file_contains "$CALLS" restart
}

@test "report detects a second cluster on the VIP" {
	fake curl <<-'END'
		case ${!#} in
		*//127.0.0.1:*/kube-system) echo '{"metadata": {"uid": "a"}}' >"$ANSWER" ;;
		*/kube-system) echo '{"metadata": {"uid": "b"}}' >"$ANSWER" ;;
		esac
		echo 200
	END
	run_report
	assert_status '^k3s: failing'
	assert_status 'error: there are two'
}

@test "report names a rejected manifest until k3s has applied it" {
	fake curl <<-'END'
		case ${!#} in
		*/events*) cat >"$ANSWER" <<-'JSON'
			{"items": [
			{"involvedObject": {"kind": "Addon", "name": "site"}, "reason": "ParseManifestFailed", "message": "Parse manifest at \"site.yaml\" failed", "lastTimestamp": "2026-01-01T00:00:00Z"},
			{"involvedObject": {"kind": "Addon", "name": "site"}, "reason": "AppliedManifest", "message": "fine now", "lastTimestamp": "2026-01-01T00:01:00Z"},
			{"involvedObject": {"kind": "Addon", "name": "blog"}, "reason": "ApplyManifestFailed", "message": "Applying manifest at \"blog.yaml\" failed: no", "lastTimestamp": "2026-01-01T00:02:00Z"},
			{"involvedObject": {"kind": "Addon", "name": "blog"}, "reason": "ApplyingManifest", "message": "again", "lastTimestamp": "2026-01-01T00:02:00Z"},
			{"involvedObject": {"kind": "Pod", "name": "x"}, "reason": "PullFailed", "message": "a pod", "lastTimestamp": "2026-01-01T00:02:00Z"}]}
			JSON
		esac
		echo 200
	END
	run_report
	assert_status '^k3s: failing'
	assert_equal '  error: Applying manifest at "blog.yaml" failed: no' "$(grep error "$STATUS_TXT")"
}

@test "report shows that the cluster has lost quorum" {
	fake curl <<<'echo 500'
	run_report
	assert_status '^k3s: waiting'
	assert_status 'waiting for the cluster to have its quorum'
}

@test "report shows the last fatal message of a k3s that does not answer" {
	fake curl <<<'echo 000; exit 7'
	run_report
	assert_status '^k3s: failing'
	k3s_logged 'level=fatal msg="no space left"'
	run_report
	assert_status 'error: no space left'
}

@test "report does not call a starting k3s failing" {
	fake curl <<<'echo 000; exit 7'
	service_is start
	k3s_logged 'level=fatal msg="etcdserver: too many learner members in cluster"'
	run_report
	assert_status '^k3s: running'
	assert_status 'error: etcdserver: too many learner'
}

@test "no secret appears in a process list" {
	fake curl <<<'printf "%s\n" "$@" >>"$SCRATCH/arguments"; echo 200'
	run_report
	assert_file_contains "$SCRATCH/arguments" '/admin.key$'
	refute_file_contains "$SCRATCH/arguments" 'PRIVATE KEY'
	refute_file_contains "$SCRATCH/arguments" "$(sed -n 2p "$keys/admin.key")"
}
