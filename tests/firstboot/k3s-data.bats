#!/usr/bin/env bats
# The first-boot step 50-k3s-data: k3s's data on the extra partition, and data of an earlier card.

load helpers

setup() {
	data=$BATS_TEST_TMPDIR/data from=$BATS_TEST_TMPDIR/rancher config=$BATS_TEST_TMPDIR/config
	mkdir -p "$data" "$from/k3s/server" "$config/cluster"
	echo manifest >"$from/k3s/server/site.yaml"
	echo 'this CA' >"$config/cluster/server-ca.crt"
	new_node "MAGI_DATA_MOUNT=$data" "MAGI_RANCHER=$from" "MAGI_RANCHER_CONFIG=$config"
	mkdir -p "$MAGI_RUN" && : >"$MAGI_RUN/now"
	record_calls_of systemctl
	fake mountpoint <<<"[ \"\$2\" = '$data' ]"
	step=$BATS_TEST_DIRNAME/../../overlays/k3s/firstboot/50-k3s-data
}

@test "the image's files are copied to the extra partition and mounted" {
	on_node sh "$step"
	assert_equal manifest "$(cat "$data/rancher/k3s/server/site.yaml")"
	assert_equal 'start var-lib-rancher.mount' "$(calls_of systemctl)"
}

@test "data of this node's earlier card stays" {
	on_node sh "$step"
	echo etcd >"$data/rancher/k3s/server/db"
	on_node sh "$step"
	assert_equal etcd "$(cat "$data/rancher/k3s/server/db")"
}

@test "data of another node, of another cluster or of an unknown owner is reported and kept" {
	on_node sh "$step"
	echo 'another CA' >"$config/cluster/server-ca.crt"
	refute on_node sh "$step" 2>"$SCRATCH/said"
	assert_file_contains "$SCRATCH/said" 'holds the data of another node or cluster'
	rm "$data/.rancher-owner"
	refute on_node sh "$step" 2>"$SCRATCH/said"
	assert_equal manifest "$(cat "$data/rancher/k3s/server/site.yaml")"
}
